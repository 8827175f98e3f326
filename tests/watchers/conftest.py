"""Every combination of a watcher, a loop and a thread that the watcher allows."""

from collections.abc import Callable, Iterator

import pytest

from settings import WATCHERS, Setting, make_setting


@pytest.fixture(params=WATCHERS)
def watcher_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["main thread", "other thread"])
def place(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def setting(watcher_name: str, loop_factory: Callable, place: str) -> Iterator[Setting]:
    setting = make_setting(watcher_name, loop_factory, place)
    yield setting
    setting.watcher.close()
