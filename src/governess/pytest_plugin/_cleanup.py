"""What a test leaves behind: changed global state is restored, and a child that still runs fails the test."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from governess import _current_policy
from governess._bridge import install, uninstall
from governess.abc import AbstractEventLoopPolicy
from governess.policies._default import DefaultEventLoopPolicy

if sys.platform != "win32":
    from governess.children import _registry
    from governess.children import children as children_of_governess
    from governess.children._procfs import read_stat

__all__ = ["Child", "ChildrenOfFixtures", "current_policy", "living_children", "report_new", "restored"]

# A child by its pid and its start, since a pid comes again.
Child = tuple[int, object]

# How long a child that was just told to end may take for it, in seconds.
PATIENCE = 1.0
STEP = 0.01

# What multiprocessing keeps for the life of the process.
_PROCESS_LONG = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Put everything back at the end of the block."""
    with _handler_of_sigchld(), _policy_of_asyncio(), _loop_and_watcher(), _policy(), _bridge():
        yield


@contextlib.contextmanager
def current_policy(policy: AbstractEventLoopPolicy) -> Iterator[None]:
    """Let the policy be the current one inside the block."""
    with _policy():
        _current_policy.set_event_loop_policy(policy)
        yield


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


@contextlib.contextmanager
def _bridge() -> Iterator[None]:
    before = _is_installed()
    try:
        yield
    finally:
        if before != _is_installed():
            with contextlib.suppress(RuntimeError):  # a loop runs here
                install() if before else uninstall()


@contextlib.contextmanager
def _policy() -> Iterator[None]:
    before = _current_policy._store.get()  # `get_event_loop_policy` would make one
    try:
        yield
    finally:
        if _current_policy._store.get() is not before:
            _current_policy.set_event_loop_policy(before)


@contextlib.contextmanager
def _loop_and_watcher() -> Iterator[None]:
    policy = _current_policy._store.get()
    if not isinstance(policy, DefaultEventLoopPolicy):
        yield
        return
    loop, watcher = policy._scope.get(), policy._watcher  # the methods would make them
    try:
        yield
    finally:
        if policy._scope.get() is not loop:
            policy._scope.set(loop)
        # A watcher made on the first need is the policy's own business.
        if policy._watcher is not watcher and policy._watcher not in policy._own_watchers:
            policy.set_child_watcher(watcher)


@contextlib.contextmanager
def _policy_of_asyncio() -> Iterator[None]:
    before = _ask_asyncio("get_event_loop_policy")
    try:
        yield
    finally:
        if before is not _ask_asyncio("get_event_loop_policy"):
            _ask_asyncio("set_event_loop_policy", before)


@contextlib.contextmanager
def _handler_of_sigchld() -> Iterator[None]:
    number = getattr(signal, "SIGCHLD", None)  # Windows has none
    if number is None:
        yield
        return
    before = signal.getsignal(number)
    try:
        yield
    finally:
        now = signal.getsignal(number)
        if now != before and before is not None and not _is_ours(now):  # None: Python has not set it, and cannot
            signal.signal(number, before)


def _is_installed() -> bool:
    return vars(asyncio).get("get_event_loop_policy") is _current_policy.get_event_loop_policy


def _is_ours(handler: Any) -> bool:
    """Whether the handler is that of a living watcher, which puts the one before back when its loop is closed."""
    return getattr(handler, "__module__", None) == "governess.watchers._sweep"


def _ask_asyncio(name: str, *args: Any) -> Any:
    """Call asyncio's own function; it warns from 3.14 on, and is gone in 3.16, where there is nothing to put back."""
    if _is_installed():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        function: Callable[..., Any] | None = getattr(asyncio, name, None)
        return None if function is None else function(*args)


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
