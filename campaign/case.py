"""What a scenario is given, and what counts as right."""

from __future__ import annotations

import asyncio
import errno
import random
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from governess.children import Exit

__all__ = ["BOUND", "Case", "Scenario", "Verdict", "Wrong", "attempt", "explained", "is_of_closed_loop"]


class Wrong(Exception):
    """Something is not as it should be."""


@dataclass(slots=True)
class Verdict:
    """What came of the cases of a batch.

    Attributes:
        done: how many cases came to their end, by scenario.
        surfaced: how many ended by an error that a fault explains, by the error.
        lost: how many exits were `lost`, with a reason.
        problems: what was wrong, with the scenario and the traceback.
    """

    done: Counter[str] = field(default_factory=Counter)
    surfaced: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Case:
    """One run of a scenario.

    Attributes:
        rng: decides everything that is left to chance.
        program: the program that children run.
        folder: for temporary files.
        verdict: what came of it is noted there.
        errors: the errors that may surface, since faults are injected.
        may_lose: whether the exit of a child may be lost, since somebody else reaps children.
        keeps_groups: whether a group stays within reach when its leader is dead, since nobody else can reap that
            one, or a pidfd stands for it.
        has_native: whether the native spawner is in use.
        loop_is_closed: whether the loop is closed while the scenario runs.
    """

    rng: random.Random
    program: str
    folder: Path
    verdict: Verdict
    errors: frozenset[int] = frozenset()
    may_lose: bool = False
    keeps_groups: bool = True
    has_native: bool = True
    loop_is_closed: bool = False

    def code(self) -> int:
        """Return an exit status, 0 more often than others."""
        return self.rng.choice((0, 0, 0, 1, 2, 3, 7, 42, 126, 127, 254))

    def child(self, *words: object) -> list[str]:
        """Return the command of a child."""
        return [self.program, *map(str, words)]

    def check(self, exit: int | None, *expected: int) -> None:
        """Check how a child ended.

        Raises:
            Wrong: it is none of the expected ways.
        """
        if isinstance(exit, Exit) and exit.lost:
            if not self.may_lose:
                raise Wrong("the exit is lost, and nobody has taken it")
            self.verdict.lost += 1
        elif exit not in expected:
            raise Wrong(f"it ended with {exit!r}, and not with one of {expected}")

    def check_equal(self, what: str, found: object, expected: object) -> None:
        """Check a result.

        Raises:
            Wrong: it is another one.
        """
        if found != expected:
            raise Wrong(f"{what}: {str(found)[:200]!r} and not {str(expected)[:200]!r}")


#: Seconds that a scenario may take: each has a grace of 5 seconds at most, and another 5 after a KILL.
BOUND = 20.0

Scenario = Callable[[Case], Awaitable[None]]


async def attempt(name: str, scenario: Scenario, case: Case) -> None:
    """Run a scenario, and note in the verdict of the case what came of it."""
    began = time.monotonic()
    try:
        await scenario(case)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        if case.loop_is_closed and is_of_closed_loop(error):
            return
        if (reason := explained(error, case.errors)) is not None:
            case.verdict.surfaced[reason] += 1
        else:
            case.verdict.problems.append(f"{name}: {''.join(traceback.format_exception(error))}")
    if (duration := time.monotonic() - began) > BOUND:
        case.verdict.problems.append(f"{name}: it has taken {duration:.1f} seconds")
    case.verdict.done[name] += 1


def is_of_closed_loop(error: BaseException | None) -> bool:
    """Return whether asyncio's own `connect_write_pipe` or its like was thrown away, and needed the loop once more."""
    trace = "" if error is None else "".join(traceback.format_exception(error))
    return "Event loop is closed" in trace and "connect_" in trace


def explained(error: BaseException, errors: frozenset[int]) -> str | None:
    """Return what the error is if an injected fault explains it."""
    if isinstance(error, BaseExceptionGroup):
        reasons = [explained(one, errors) for one in error.exceptions]
        return None if None in reasons else reasons[0]
    if isinstance(error, OSError) and error.errno in errors:
        return f"{type(error).__name__} {errno.errorcode[error.errno]}"
    if isinstance(error, MemoryError) and errno.ENOMEM in errors:
        return "MemoryError"
    if error.__cause__ is not None and not isinstance(error, Wrong):
        return explained(error.__cause__, errors)
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error) and errors:
        return "RuntimeError: can't start new thread"
    return None
