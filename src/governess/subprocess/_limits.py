"""What a child may use, and how long it may live: in force before its program's first instruction."""

from __future__ import annotations

import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Limits", "child_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child, and everything that it starts, may use each. None leaves what the parent has.

    Attributes:
        memory: bytes of address space (RLIMIT_AS); more cannot be allocated.
        cpu: whole seconds of processor time (RLIMIT_CPU); then comes SIGXCPU, and SIGKILL one second later.
        open_files: one more than the highest number of a descriptor (RLIMIT_NOFILE).
        processes: processes and threads of its user, all together (RLIMIT_NPROC); does not hold for root.
        nice: added to the parent's niceness; below 0 needs a privilege.
    """

    memory: int | None = None
    cpu: int | None = None
    open_files: int | None = None
    processes: int | None = None
    nice: int = 0

    def __post_init__(self) -> None:
        for name in ("memory", "cpu", "open_files", "processes"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 0 < value <= _LARGEST):
                raise ValueError(f"the limit {name} is a whole number above 0, not {value!r}")
        if type(self.nice) is not int:
            raise ValueError(f"nice is a whole number, not {self.nice!r}")

    def rlimits(self) -> dict[int, tuple[int, int]]:
        """Return the soft and the hard limit of each ``resource.RLIMIT_…`` that is set."""
        wishes = {
            resource.RLIMIT_AS: self.memory,
            resource.RLIMIT_NOFILE: self.open_files,
            resource.RLIMIT_NPROC: self.processes,
        }
        limits = {number: (wish, wish) for number, wish in wishes.items() if wish is not None}
        if self.cpu is not None:
            limits[resource.RLIMIT_CPU] = self.cpu, _below_hard_limit(self.cpu + 1)
        return limits


_LARGEST = (1 << 63) - 1  # which Python's resource takes


def _below_hard_limit(seconds: int) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    return seconds if hard == resource.RLIM_INFINITY else min(seconds, hard)


def child_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with `limits` and `die_with_parent` in the words of the native spawner.

    Raises:
        TypeError: one of them is given in both ways, or `limits` is no `Limits`.
    """
    if not options:
        return {}
    options = dict(options)
    limits = options.pop("limits", None)
    own: dict[str, Any] = {}
    if limits is not None:
        if not isinstance(limits, Limits):
            raise TypeError(f"limits must be a governess.subprocess.Limits, not {limits!r}")
        own = {"rlimits": limits.rlimits(), "nice": limits.nice}
    if options.pop("die_with_parent", False):
        own["parent_death_signal"] = signal.SIGKILL
    own = {name: value for name, value in own.items() if value}
    if twice := sorted(own.keys() & options.keys()):
        raise TypeError(f"{', '.join(twice)}: given twice, once by limits or die_with_parent")
    return options | own
