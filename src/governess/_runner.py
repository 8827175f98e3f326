"""Running a coroutine in a loop of the current policy."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine
from typing import Any, TypeVar

from governess._current_policy import get_event_loop_policy
from governess.abc import AbstractEventLoopPolicy
from governess.children._per_loop import running_loop
from governess.loops._change import WATCHED, make_loop
from governess.loops._choose import LoopFactory, factory_of

__all__ = ["Runner", "run"]

T = TypeVar("T")


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: LoopFactory | str | None = None,
) -> T:
    """Run a coroutine in a new loop, close the loop, and return the result of the coroutine.

    Args:
        main: the coroutine.
        debug: whether the loop is in debug mode; None does not change its mode.
        loop_factory: the loop factory or its name, as for `Runner`; None for the current policy.

    Raises:
        RuntimeError: a loop is running in this thread.
        ValueError: no loop has this name, or it cannot be imported.
        TypeError: the factory is neither a callable nor a name.
    """
    try:
        if running_loop() is not None:
            raise RuntimeError("governess.run() cannot be called from a running event loop")
        runner = Runner(debug=debug, loop_factory=loop_factory)
    except BaseException:
        if asyncio.iscoroutine(main):
            main.close()  # so that nothing warns of a coroutine that was never awaited
        raise
    # Not `with`: to enter a runner only makes its loop, as its first run does.
    try:
        return runner.run(main)
    finally:
        runner.close()


class Runner(asyncio.Runner):  # type: ignore[misc]
    """An `asyncio.Runner` whose loop is made by the current policy, unless a factory is given."""

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: LoopFactory | str | None = None,
    ) -> None:
        """Run coroutines in one loop, which is made when it is first needed.

        Args:
            debug: whether the loop is in debug mode; None does not change its mode.
            loop_factory: None for a loop of the current policy; or the name of a loop: ``auto``, ``asyncio``,
                ``uvloop`` or ``module:factory``. In both cases governess starts the children of the loop, and the loop
                becomes the current loop of the policy. A callable is used as `asyncio.Runner` uses it.

        Raises:
            ValueError: no loop has this name, or it cannot be imported.
            TypeError: the factory is neither a callable nor a name.
        """
        factory = None if loop_factory is None else factory_of(loop_factory)
        self._policies: list[AbstractEventLoopPolicy] = []
        if factory is None or isinstance(loop_factory, str):
            # No method: a runner that references itself stays until the garbage collector runs.
            factory = functools.partial(_make_current_loop, factory, self._policies)
        super().__init__(debug=debug, loop_factory=factory)

    def close(self) -> None:
        """Cancel all tasks, and close the loop."""
        try:
            super().close()
        finally:
            if self._policies:
                self._policies.pop().set_event_loop(None)


def _make_current_loop(
    factory: LoopFactory | None, policies: list[AbstractEventLoopPolicy]
) -> asyncio.AbstractEventLoop:
    """Make the loop of a runner, and make it the current one of the current policy, which is added to `policies`."""
    policy = get_event_loop_policy()
    loop = policy.new_event_loop() if factory is None else make_loop(factory, (WATCHED,))
    policy.set_event_loop(loop)
    policies.append(policy)
    return loop
