"""Running a coroutine in a loop of the current policy."""

from __future__ import annotations

import asyncio
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
    """Run a coroutine in a new loop, close the loop, and return the result.

    Args:
        main: the coroutine.
        debug: the debug mode of the loop; None leaves it as it is.
        loop_factory: makes the loop, as for `Runner`; None asks the current policy.

    Raises:
        RuntimeError: a loop runs in this thread already.
        ValueError: there is no loop of that name, or it cannot be imported.
    """
    try:
        if running_loop() is not None:
            raise RuntimeError("governess.run() cannot be called from a running event loop")
        runner = Runner(debug=debug, loop_factory=loop_factory)
    except BaseException:
        if asyncio.iscoroutine(main):
            main.close()  # so that nothing warns of a coroutine that was never awaited
        raise
    with runner:
        return runner.run(main)


class Runner(asyncio.Runner):  # type: ignore[misc]
    """`asyncio.Runner`, whose loop comes from the current policy where no factory is given, and is its current loop."""

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: LoopFactory | str | None = None,
    ) -> None:
        """Run coroutines in one loop, made on the first need.

        Args:
            debug: the debug mode of the loop; None leaves it as it is.
            loop_factory: makes the loop. None asks the current policy, and makes the loop its current one. So does a
                name, ``auto``, ``asyncio``, ``uvloop`` or ``module:factory``; governess starts its children. A
                callable is used as `asyncio.Runner` uses it.

        Raises:
            ValueError: there is no loop of that name, or it cannot be imported.
            TypeError: the factory is neither a callable nor a name.
        """
        factory = factory_of(loop_factory)
        self._current: _CurrentLoop | None = None
        if factory is None or isinstance(loop_factory, str):
            self._current = _CurrentLoop(factory)
            factory = self._current.make
        super().__init__(debug=debug, loop_factory=factory)

    def close(self) -> None:
        """Cancel what still runs, and close the loop."""
        try:
            super().close()
        finally:
            if self._current is not None:
                self._current.forget()


class _CurrentLoop:
    """Makes the loop of a runner, and makes it the current one of the current policy.

    It is no part of the runner, since a runner that references itself stays until the garbage collector runs.
    """

    def __init__(self, factory: LoopFactory | None) -> None:
        self._factory = factory
        self._policy: AbstractEventLoopPolicy | None = None

    def make(self) -> asyncio.AbstractEventLoop:
        policy = get_event_loop_policy()
        loop = policy.new_event_loop() if self._factory is None else make_loop(self._factory, (WATCHED,))
        policy.set_event_loop(loop)
        self._policy = policy
        return loop

    def forget(self) -> None:
        policy, self._policy = self._policy, None
        if policy is not None:
            policy.set_event_loop(None)
