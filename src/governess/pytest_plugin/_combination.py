"""Combinations of a policy and a watcher that tests run with, by their names."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest

import governess.policies
from governess.abc import AbstractChildWatcher, AbstractEventLoopPolicy
from governess.loops._choose import available_loops, choose_loop, import_callable
from governess.pytest_plugin._cleanup import current_policy

if sys.platform != "win32":
    from governess import watchers

__all__ = ["Combination", "UnknownName", "policy_maker", "policy_names", "watcher_factory", "watcher_names"]


# The policies that take any loop and any watcher, in the order in which error messages list them.
_KINDS = ("default", "shared", "threaded", "context", "limited", "priority")
_LOOPS = ("uvloop",)


class UnknownName(ValueError):
    """No policy, loop or watcher has this name; the text lists the names."""


def policy_names() -> list[str]:
    """Return the names of the policies that work here, without ``kind+loop`` and ``module:factory``."""
    kinds = [kind for kind in _KINDS if _policy_class(kind) is not None]
    return kinds + [loop for loop in available_loops() if loop in _LOOPS]


def policy_maker(name: str) -> Callable[..., Any]:
    """Return the factory of the policy with this name; the factory takes the argument `watcher`.

    Raises:
        UnknownName: no policy has this name.
        ValueError: the policy cannot be used here; the text says why.
    """
    if ":" in name and "+" not in name:
        try:
            return cast("Callable[..., Any]", import_callable("policy", name))
        except ValueError as error:
            raise UnknownName(str(error)) from error
    kind, plus, loop = name.partition("+")
    if not plus and kind in _LOOPS:
        kind, loop = "default", kind
    policy_class = _policy_class(kind)
    if policy_class is None or (plus and not loop):
        there_are = ", ".join(policy_names())
        raise UnknownName(f"there is no policy {name!r}; there are {there_are}, kind+loop, and module:factory")
    if not loop:
        return policy_class
    choose_loop(loop)
    return lambda **options: policy_class(loop_factory=loop, **options)


def watcher_names() -> list[str]:
    """Return the names of the watchers that work here."""
    return [] if sys.platform == "win32" else list(watchers.available_watchers())


def watcher_factory(name: str) -> Callable[[], AbstractChildWatcher]:
    """Return what makes the watcher with this name.

    Raises:
        UnknownName: no watcher has this name.
        ValueError: the watcher cannot work here; the text says why.
    """
    if sys.platform == "win32":
        raise ValueError("Windows has no child watchers")
    if name not in watchers.WATCHERS:
        raise UnknownName(f"there is no watcher {name!r}; there are {', '.join(watchers.WATCHERS)}")
    return watchers.choose_watcher(name).factory


def _policy_class(kind: str) -> Callable[..., Any] | None:
    policy_class: Callable[..., Any] | None = getattr(governess.policies, f"{kind.title()}EventLoopPolicy", None)
    return policy_class if kind in _KINDS else None


class Combination:
    """A policy and a watcher by their names. It is a loop factory: to call it makes a loop.

    Attributes:
        id: its name in the names of tests, such as ``uvloop-pidfd``.
        obstacle: why it cannot be used here; None if it can.
    """

    def __init__(self, policy: str, watcher: str | None) -> None:
        """Look up both names.

        Raises:
            UnknownName: no policy or no watcher has this name.
        """
        self.id = policy if watcher is None else f"{policy}-{watcher}"
        self.obstacle: str | None = None
        self._options: dict[str, Any] = {}
        self._policy: AbstractEventLoopPolicy | None = None
        self._end = contextlib.ExitStack()
        try:
            self._make = policy_maker(policy)
            if watcher is not None:
                self._options["watcher"] = watcher_factory(watcher)
        except UnknownName:
            raise
        except ValueError as error:
            self.obstacle = str(error)

    def __repr__(self) -> str:
        return self.id

    def __call__(self) -> asyncio.AbstractEventLoop:
        """Make a loop of the policy that stays open until the end of the session, because a loop may outlive a test."""
        return self._lasting_policy().new_event_loop()

    def new_policy(self) -> contextlib.AbstractContextManager[AbstractEventLoopPolicy]:
        """Make a new policy, which is closed at the end of the block.

        Raises:
            pytest.skip.Exception: it cannot be used here.
        """
        if self.obstacle is not None:
            pytest.skip(self.obstacle)
        policy = self._make(**self._options)
        return policy if hasattr(policy, "__exit__") else contextlib.nullcontext(policy)

    @contextlib.contextmanager
    def kept_current(self) -> Iterator[None]:
        """Make the policy that makes the loops the current one."""
        if self.obstacle is not None:
            yield
            return
        with current_policy(self._lasting_policy()):
            yield

    def marks(self) -> Sequence[pytest.MarkDecorator]:
        """Return the marks for tests that run with it: a skip if it cannot be used here."""
        return [] if self.obstacle is None else [pytest.mark.skip(reason=self.obstacle)]

    def close(self) -> None:
        """Close the policy that makes the loops."""
        self._end.close()

    def _lasting_policy(self) -> AbstractEventLoopPolicy:
        if self._policy is None:
            self._policy = self._end.enter_context(self.new_policy())
        return self._policy
