"""A policy over each loop class, with the default watcher; and over each without its pipes, as on Windows."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn

import pytest

import governess
from loop_classes import LOOPS as LOOPS_WITH_PIPES


def without_pipes(loop_class: type[Any]) -> type[Any]:
    """Return a subclass that cannot do what Windows's selector loop cannot do, and watches no descriptors either."""

    class LoopWithoutPipes(loop_class):
        async def connect_read_pipe(self, *_: object) -> NoReturn:
            raise NotImplementedError

        async def connect_write_pipe(self, *_: object) -> NoReturn:
            raise NotImplementedError

        def add_reader(self, *_: object) -> NoReturn:
            raise NotImplementedError

        add_writer = add_reader

    return LoopWithoutPipes


if sys.platform == "win32":
    LOOPS = {"selector": asyncio.SelectorEventLoop}
else:
    LOOPS = LOOPS_WITH_PIPES | {f"{name}-without-pipes": without_pipes(loop) for name, loop in LOOPS_WITH_PIPES.items()}


@pytest.fixture(params=LOOPS)
def loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Each loop class in turn."""
    return LOOPS[request.param]


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
