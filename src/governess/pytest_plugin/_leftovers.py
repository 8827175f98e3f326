"""Children that a test leaves running."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "win32":
    from governess.children import _registry
    from governess.children import children as children_of_governess
    from governess.children._procfs import read_stat

__all__ = ["Child", "ChildrenOfFixtures", "living_children", "report_new"]

# A child by its pid and its start, since a pid comes again.
Child = tuple[int, object]

# How long a child that was just told to end may take for it, in seconds.
PATIENCE = 1.0
STEP = 0.01

# What multiprocessing keeps for the life of the process.
_PROCESS_LONG = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def living_children() -> dict[Child, str]:
    """Return the children that run, with their command lines: all of this process; without /proc, governess's alone."""
    if sys.platform == "win32":
        return {}
    lists = list(Path("/proc/self/task").glob("*/children"))
    if not lists:
        return {(child.pid, child.started): _line(child.argv) for child in children_of_governess()}
    pids: set[int] = set()
    for path in lists:
        with contextlib.suppress(OSError):  # the thread has ended
            pids.update(map(int, path.read_text().split()))
    found = [found for pid in pids for found in _look_at(pid)]
    return {child: line for child, line in found if not any(word in line for word in _PROCESS_LONG)}


def report_new(known: Collection[Child]) -> None:
    """Fail if a child runs that is not known; those that governess has started are killed."""
    patience_ends = time.monotonic() + PATIENCE
    while left := {child: line for child, line in living_children().items() if child not in known}:
        if time.monotonic() > patience_ends:
            for pid, _ in left:
                _kill(pid)
            names = ", ".join(f"child {pid} ({line})" for (pid, _), line in left.items())
            pytest.fail(f"the test left running: {names}", pytrace=False)
        time.sleep(STEP)


class ChildrenOfFixtures:
    """The children that fixtures have started which serve more than one test.

    Attributes:
        is_watching: whether it is worth looking now.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.is_watching = False
        self._born: dict[pytest.FixtureDef[Any], set[Child]] = {}

    @contextlib.contextmanager
    def born_in(self, fixture: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Count the children that are born in this block as the fixture's."""
        before = living_children() if self.is_watching else {}
        try:
            yield
        finally:
            if self.is_watching:
                self._born.setdefault(fixture, set()).update(living_children().keys() - before.keys())

    def ended(self, fixture: pytest.FixtureDef[Any]) -> None:
        """Check that the fixture, which has ended, has left no child."""
        self._born.pop(fixture, None)

    def children(self) -> set[Child]:
        """Return the children of the fixtures that are in use."""
        return set().union(*self._born.values())


def _look_at(pid: int) -> Iterator[tuple[Child, str]]:
    """The child and its command line, if it runs."""
    with contextlib.suppress(OSError):
        stat = read_stat(pid)
        if stat is not None and stat.is_alive:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            yield (pid, stat.started), _line(words[:-1])


def _line(words: Collection[Any]) -> str:
    return shlex.join(str(word) for word in words)


def _kill(pid: int) -> None:
    if sys.platform != "win32" and (child := _registry.get(pid)) is not None:
        with contextlib.suppress(ProcessLookupError):
            child.signal(signal.SIGKILL)
