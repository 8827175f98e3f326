"""The answer to pytest-asyncio's question which loop factories a test is to be run with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import pytest

from governess.pytest_plugin.combination import Combination

__all__ = ["loop_factories_offered"]

# pytest-asyncio has the hook from 1.4 on.
HOOK = "pytest_asyncio_loop_factories"


@contextlib.contextmanager
def loop_factories_offered(config: pytest.Config, chosen: Sequence[Combination] | None) -> Iterator[None]:
    """Let pytest-asyncio take its loops from these combinations inside the block.

    Whoever implements the hook has to answer it for every test. So it is implemented only while it is asked for a test
    for which combinations were chosen.
    """
    if chosen is None or not hasattr(config.hook, HOOK):
        yield
        return
    answer = _Answer(chosen)
    config.pluginmanager.register(answer)
    try:
        yield
    finally:
        config.pluginmanager.unregister(answer)


class _Answer:
    def __init__(self, chosen: Sequence[Combination]) -> None:
        self._factories = {combination.id: combination for combination in chosen}

    @pytest.hookimpl(trylast=True)  # the hook of a conftest.py comes first
    def pytest_asyncio_loop_factories(self) -> Mapping[str, Combination]:
        return self._factories
