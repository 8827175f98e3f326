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

# The pid and the start time of a child, because pids are reused.
Child = tuple[int, object]

# Seconds that a child may take to end after the test, and between two looks.
EXIT_TIMEOUT = 1.0
POLL_INTERVAL = 0.01

# Helpers of multiprocessing that run until the process ends, and the guardian, which ends by itself.
_LASTING_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "governess/children/_guardian")


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """At the end of the block, restore the policy, its loop and watcher, asyncio's names and the SIGCHLD handler."""
    with _handler_of_sigchld(), _policy_of_asyncio(), _loop_and_watcher(), _policy(), _bridge():
        yield


@contextlib.contextmanager
def current_policy(policy: AbstractEventLoopPolicy) -> Iterator[None]:
    """Make the policy the current one inside the block."""
    with _policy():
        _current_policy.set_event_loop_policy(policy)
        yield


def living_children() -> dict[Child, str]:
    """Return the running children and their command lines: all children; without /proc, those of governess alone."""
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
    return {child: line for child, line in found if not any(word in line for word in _LASTING_HELPERS)}


def report_new(known: Collection[Child]) -> None:
    """Fail the test if a child runs that is not in `known`; kill such children if governess has started them."""
    deadline = time.monotonic() + EXIT_TIMEOUT
    while left := {child: line for child, line in living_children().items() if child not in known}:
        if time.monotonic() > deadline:
            for pid, _ in left:
                _kill(pid)
            names = ", ".join(f"child {pid} ({line})" for (pid, _), line in left.items())
            pytest.fail(f"the test left running: {names}", pytrace=False)
        time.sleep(POLL_INTERVAL)


class ChildrenOfFixtures:
    """The children started by fixtures of a wider scope than one test.

    Attributes:
        is_watching: whether the current test needs the record.
    """

    def __init__(self) -> None:
        """Start without children."""
        self.is_watching = False
        self._started: dict[pytest.FixtureDef[Any], set[Child]] = {}

    @contextlib.contextmanager
    def started_in(self, fixture: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Record the children started in this block as children of the fixture."""
        before = living_children() if self.is_watching else {}
        try:
            yield
        finally:
            if self.is_watching:
                self._started.setdefault(fixture, set()).update(living_children().keys() - before.keys())

    def ended(self, fixture: pytest.FixtureDef[Any]) -> None:
        """Forget the children of the fixture, which has ended."""
        self._started.pop(fixture, None)

    def children(self) -> set[Child]:
        """Return the children of all fixtures in use."""
        return set().union(*self._started.values())


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
    before = _current_policy._store.get()  # get_event_loop_policy() would make one
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
    loop, watcher = policy._scope.get(), policy._watcher  # the public methods would make them
    try:
        yield
    finally:
        if policy._scope.get() is not loop:
            policy._scope.set(loop)
        # A watcher that the policy has made itself stays.
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
        # A handler that Python has not set (None) cannot be restored.
        if now != before and before is not None and not _is_ours(now):
            signal.signal(number, before)


def _is_installed() -> bool:
    return vars(asyncio).get("get_event_loop_policy") is _current_policy.get_event_loop_policy


def _is_ours(handler: Any) -> bool:
    """Return whether the handler belongs to a watcher, which restores the previous handler when its loop is closed."""
    return getattr(handler, "__module__", None) == "governess.watchers._sweep"


def _ask_asyncio(name: str, *args: Any) -> Any:
    """Call asyncio's own function, which warns since 3.14; in 3.16 it is gone, and there is nothing to restore."""
    if _is_installed():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        function: Callable[..., Any] | None = getattr(asyncio, name, None)
        return None if function is None else function(*args)


def _look_at(pid: int) -> Iterator[tuple[Child, str]]:
    """Yield the child and its command line, if it runs."""
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
