"""Putting back what a test has changed: the policy, its loop and watcher, asyncio's names, SIGCHLD."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from governess import _current_policy
from governess._bridge import install, uninstall
from governess.abc import AbstractEventLoopPolicy
from governess.policies._default import DefaultEventLoopPolicy

__all__ = ["current_policy", "restored"]


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
