"""One policy with one watcher, chosen by name: what a test is run with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from governess.abc import AbstractEventLoopPolicy
from governess.pytest_plugin.names import UnknownName, policy_maker, watcher_class
from governess.pytest_plugin.restore import current_policy

__all__ = ["Combination"]


class Combination:
    """A policy and a watcher by their names; called, it makes a loop, as a loop factory does.

    Attributes:
        id: how a test's name tells it: ``uvloop-pidfd``.
        obstacle: why it cannot be had here; None where it can.
    """

    def __init__(self, policy: str, watcher: str | None) -> None:
        """Look both names up.

        Raises:
            UnknownName: nothing has this name.
        """
        self.id = policy if watcher is None else f"{policy}-{watcher}"
        self.obstacle: str | None = None
        self._options: dict[str, Any] = {}
        self._policy: AbstractEventLoopPolicy | None = None
        self._end = contextlib.ExitStack()
        try:
            self._make = policy_maker(policy)
            if watcher is not None:
                self._options["watcher"] = watcher_class(watcher)
        except UnknownName:
            raise
        except ValueError as error:
            self.obstacle = str(error)

    def __repr__(self) -> str:
        return self.id

    def __call__(self) -> asyncio.AbstractEventLoop:
        """Make a loop of the one policy that stays until the end of the session, since a loop may outlive a test."""
        return self._lasting_policy().new_event_loop()

    def new_policy(self) -> contextlib.AbstractContextManager[AbstractEventLoopPolicy]:
        """Make a policy, which is closed at the end of the block.

        Raises:
            pytest.skip.Exception: it cannot be had here.
        """
        if self.obstacle is not None:
            pytest.skip(self.obstacle)
        policy = self._make(**self._options)
        return policy if hasattr(policy, "__exit__") else contextlib.nullcontext(policy)

    @contextlib.contextmanager
    def kept_current(self) -> Iterator[None]:
        """Let the policy that makes the loops be the current one."""
        if self.obstacle is not None:
            yield
            return
        with current_policy(self._lasting_policy()):
            yield

    def marks(self) -> Sequence[pytest.MarkDecorator]:
        """Return the marks of a test that runs with it."""
        return [] if self.obstacle is None else [pytest.mark.skip(reason=self.obstacle)]

    def close(self) -> None:
        """Close the policy that made loops."""
        self._end.close()

    def _lasting_policy(self) -> AbstractEventLoopPolicy:
        if self._policy is None:
            self._policy = self._end.enter_context(self.new_policy())
        return self._policy
