"""Running a coroutine in a loop of the current policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from governess._registry import get_event_loop_policy
from governess.abc import AbstractEventLoopPolicy

__all__ = ["Runner", "run"]

T = TypeVar("T")


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run a coroutine in a new loop, close the loop, and return the result.

    Args:
        main: the coroutine.
        debug: the debug mode of the loop; None leaves it as it is.
        loop_factory: makes the loop; None asks the current policy.

    Raises:
        RuntimeError: a loop runs in this thread already.
    """
    if _loop_runs_here():
        if asyncio.iscoroutine(main):
            main.close()  # so that nothing warns of a coroutine that was never awaited
        raise RuntimeError("governess.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)


class Runner(asyncio.Runner):  # type: ignore[misc]
    """`asyncio.Runner`, whose loop comes from the current policy where no factory is given, and is its current loop."""

    def __init__(
        self, *, debug: bool | None = None, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    ) -> None:
        """Run coroutines in one loop, made on the first need.

        Args:
            debug: the debug mode of the loop; None leaves it as it is.
            loop_factory: makes the loop; None asks the current policy.
        """
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
        loop = policy.new_event_loop()
        policy.set_event_loop(loop)
        self._policy = policy
        return loop


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
