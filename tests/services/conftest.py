"""Supervising real programs."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from governess.services import _process


@pytest.fixture
def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a coroutine in each installed loop, for a minute at most.

    Without the guardian, which lives a second longer than what it guards; the tests of the command line have it.
    """
    monkeypatch.setattr(_process, "can_die_with_parent", lambda: False)

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(60):
                return await coroutine

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(bounded())

    return run
