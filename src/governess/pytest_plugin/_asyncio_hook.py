"""The answer to pytest-asyncio's question which loop factories a test is to be run with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping

import pytest

__all__ = ["LoopFactories", "loop_factories_offered"]

# pytest-asyncio has the hook from 1.4 on.
HOOK = "pytest_asyncio_loop_factories"

LoopFactories = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]


@contextlib.contextmanager
def loop_factories_offered(config: pytest.Config, factories: LoopFactories | None) -> Iterator[None]:
    """Let pytest-asyncio take these factories inside the block; None leaves it as it is.

    Whoever implements the hook has to answer it for every test. So it is implemented only while it is asked for a test
    that has factories.
    """
    if factories is None or not hasattr(config.hook, HOOK):
        yield
        return
    answer = _Answer(factories)
    config.pluginmanager.register(answer)
    try:
        yield
    finally:
        config.pluginmanager.unregister(answer)


class _Answer:
    def __init__(self, factories: LoopFactories) -> None:
        self._factories = factories

    @pytest.hookimpl(trylast=True)  # the hook of a conftest.py comes first
    def pytest_asyncio_loop_factories(self) -> LoopFactories:
        return self._factories
