"""Running a coroutine in a loop of the current policy."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from governess._registry import get_event_loop_policy
from governess.abc import AbstractEventLoopPolicy
from governess.loops.choose import factory_of

if sys.platform != "win32":
    from governess.loops.watched import watch

__all__ = ["Runner", "run"]

T = TypeVar("T")


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    loop: str | None = None,
) -> T:
    """Run a coroutine in a new loop, close the loop, and return the result.

    Args:
        main: the coroutine.
        debug: the debug mode of the loop; None leaves it as it is.
        loop_factory: makes the loop; None asks the current policy.
        loop: which loop to take, by name: ``auto``, ``asyncio``, ``uvloop``, or ``module:factory``.

    Raises:
        RuntimeError: a loop runs in this thread already.
        ValueError: there is no loop of that name, or it cannot be imported.
        TypeError: the loop is given both by name and by factory.
    """
    try:
        if _loop_runs_here():
            raise RuntimeError("governess.run() cannot be called from a running event loop")
        runner = Runner(debug=debug, loop_factory=loop_factory, loop=loop)
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
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
        loop: str | None = None,
    ) -> None:
        """Run coroutines in one loop, made on the first need.

        Args:
            debug: the debug mode of the loop; None leaves it as it is.
            loop_factory: makes the loop; None asks the current policy.
            loop: which loop to take, by name: ``auto``, ``asyncio``, ``uvloop``, or ``module:factory``. As with None,
                it is the current policy's current loop, and its children are governess's.

        Raises:
            ValueError: there is no loop of that name, or it cannot be imported.
            TypeError: the loop is given both by name and by factory.
        """
        self._named = None if loop is None else factory_of(loop, loop_factory)
        self._policy: AbstractEventLoopPolicy | None = None
        super().__init__(debug=debug, loop_factory=loop_factory or self._current_loop)

    def close(self) -> None:
        """Cancel what still runs, and close the loop."""
        policy, self._policy = self._policy, None
        try:
            super().close()
        finally:
            if policy is not None:
                policy.set_event_loop(None)

    def _current_loop(self) -> asyncio.AbstractEventLoop:
        policy = get_event_loop_policy()
        loop = policy.new_event_loop() if self._named is None else _adopted(self._named())
        policy.set_event_loop(loop)
        self._policy = policy
        return loop


def _adopted(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    """The loop, whose children are governess's from here on."""
    return loop if sys.platform == "win32" else watch(loop)


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
