"""A policy over each loop class, with the default watcher."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import governess


@pytest.fixture
def policy(loop_factory: Callable) -> Iterator[governess.DefaultEventLoopPolicy]:
    with governess.DefaultEventLoopPolicy(loop_factory) as policy:
        yield policy


@pytest.fixture
def run(policy: governess.DefaultEventLoopPolicy) -> Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]:
    """Run a coroutine function in a loop of the policy."""

    def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
            return runner.run(main())

    return run
