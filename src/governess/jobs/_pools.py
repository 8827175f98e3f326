"""What jobs share: processors, memory and named tokens; without I/O."""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping
from types import MappingProxyType

from governess._programs.units import format_size, parse_size
from governess.jobs._job import JobOptions

__all__ = ["Grant", "PoolError", "Pools", "parse_pool", "parse_token"]


class PoolError(ValueError):
    """A job needs more than the size of a pool, so the job could never run."""


class Grant:
    """The processors, memory and tokens that a running job has taken from the pools.

    `memory` is in bytes; `tokens` has the numbers of the job's tokens, by name.
    """

    __slots__ = ("cpus", "memory", "tokens")

    def __init__(self, cpus: float, memory: int, tokens: Mapping[str, tuple[int, ...]]) -> None:
        self.cpus = cpus
        self.memory = memory
        self.tokens = tokens

    def variables(self) -> dict[str, str]:
        """Return the environment variables with the numbers of the job's tokens: ``GOVERNESS_TOKEN_GPU=0,2``."""
        return {f"GOVERNESS_TOKEN_{_variable(name)}": ",".join(map(str, ids)) for name, ids in self.tokens.items()}


class Pools:
    """What there is for all running jobs together.

    Args:
        cpus: how many processors.
        memory: how many bytes.
        tokens: how many tokens of each name; they are numbered from 0.
        given: the sizes that were asked for, by name, which `with_defaults` keeps.
    """

    def __init__(
        self,
        cpus: float,
        memory: int | None,
        tokens: Mapping[str, int] | None = None,
        given: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._given = given
        self._cpus = self._free_cpus = cpus
        self._memory = self._free_memory = memory
        self._sizes = dict(tokens or {})
        self._tokens = {name: list(range(size)) for name, size in self._sizes.items()}

    def with_defaults(self, sizes: Mapping[str, float]) -> Pools:
        """Return pools of which those that were not asked for have these sizes."""
        sizes = {**sizes, **self._given}
        memory = sizes.get("memory", self._memory)
        tokens = {name: int(size) for name, size in sizes.items() if name not in ("cpus", "memory")}
        return Pools(sizes.get("cpus", self._cpus), None if memory is None else int(memory), tokens, self._given)

    def check(self, options: JobOptions, who: str) -> None:
        """Check that a job can run while no other does.

        Args:
            options: what it needs.
            who: what an error calls it.

        Raises:
            PoolError: it needs more than there is.
        """
        if options.cpus > self._cpus:
            raise PoolError(
                f"{who} needs {options.cpus:g} processors, and there are {self._cpus:g}: "
                f"declare fewer, or have a larger pool ({_way('cpus', f'{options.cpus:g}')})"
            )
        if options.memory and self._memory is not None and options.memory > self._memory:
            raise PoolError(
                f"{who} needs {format_size(options.memory)} of memory, and the pool has {format_size(self._memory)}: "
                f"declare less, or have a larger pool "
                f"({_way('memory', format_size(options.memory))})"
            )
        for name, count in options.tokens.items():
            if name not in self._sizes:
                raise PoolError(
                    f"{who} needs the token {name!r}, of which there is no pool: make one ({_way(name, str(count))})"
                )
            if count > self._sizes[name]:
                raise PoolError(f"{who} needs {count} tokens {name!r}, and the pool has {self._sizes[name]}")

    def take(self, options: JobOptions) -> Grant | None:
        """Take what a job needs; None if that is not free now."""
        memory = options.memory or 0
        if options.cpus > self._free_cpus:
            return None
        if self._free_memory is not None and memory > self._free_memory:
            return None
        if any(len(self._tokens[name]) < count for name, count in options.tokens.items()):
            return None
        self._free_cpus -= options.cpus
        if self._free_memory is not None:
            self._free_memory -= memory
        taken = {
            name: tuple(heapq.heappop(self._tokens[name]) for _ in range(count))
            for name, count in options.tokens.items()
        }
        return Grant(options.cpus, memory, taken)

    def adopt(self, options: JobOptions, environment: Mapping[str, str]) -> Grant:
        """Take what a job needs that runs already, whether it is free or not; its environment tells its tokens."""
        self._free_cpus -= options.cpus
        memory = options.memory or 0
        if self._free_memory is not None:
            self._free_memory -= memory
        taken: dict[str, tuple[int, ...]] = {}
        for name in options.tokens:
            written = environment.get(f"GOVERNESS_TOKEN_{_variable(name)}", "").split(",")
            free = self._tokens[name]
            taken[name] = tuple(int(word) for word in written if word.isdigit() and int(word) in free)
            self._tokens[name] = [number for number in free if number not in taken[name]]
            heapq.heapify(self._tokens[name])
        return Grant(options.cpus, memory, taken)

    def give_back(self, grant: Grant) -> None:
        """Give back what a job has taken."""
        self._free_cpus += grant.cpus
        if self._free_memory is not None:
            self._free_memory += grant.memory
        for name, ids in grant.tokens.items():
            for number in ids:
                heapq.heappush(self._tokens[name], number)


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def parse_pool(text: str) -> tuple[str, float]:
    """Return the name and the size of `gpu=2`, `cpus=4` or `memory=8G`.

    Raises:
        ValueError: it is written otherwise.
    """
    name, equals, size = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is no pool such as gpu=2, cpus=4 or memory=8G")
    if name == "memory":
        return name, parse_size(size)
    try:
        number = float(size) if name == "cpus" else int(size)
    except ValueError:
        number = -1
    if not 0 < number < 1e9:
        raise ValueError(f"the pool {name} has a number above 0, not {size!r}")
    return name, number


def parse_token(text: str) -> tuple[str, int]:
    """Return the name and the number of `gpu` (one) or `gpu=2`.

    Raises:
        ValueError: it is written otherwise.
    """
    name, equals, count = text.partition("=")
    if not _NAME.fullmatch(name) or name in ("cpus", "memory"):
        raise ValueError(f"{text!r} is no token such as gpu or gpu=2")
    if equals and not (count.isascii() and count.isdigit() and 0 < int(count) < 10**9):
        raise ValueError(f"a job takes one or more tokens {name!r}, not {count!r}")
    return name, int(count) if equals else 1


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _way(name: str, size: str) -> str:
    """Return how a pool is given, on the command line and in a program."""
    return f"--pool {name}={size}; in a program, pools={{{name!r}: …}}"
