"""Every installed loop as it is, without a policy of governess's: what runs there is the running loop."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from governess.children import _group

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def run(loop_factory: Callable[[], AbstractEventLoop]) -> Run:
    """Run a coroutine function in a loop."""

    def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main())

    return run


@pytest.fixture
def run_in_loop(run: Run) -> Run:
    """The same, for tests of the function that is called `run`."""
    return run


@pytest.fixture(params=["by pidfd", "by number"])
def _reach(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a group is reached: as this kernel can, and as before Linux 6.9."""
    if request.param == "by number":
        monkeypatch.setattr(_group, "_PIDFD_SIGNAL_PROCESS_GROUP", 1 << 20)  # EINVAL, as before Linux 6.9
