"""A pytest plugin: the fixture `starts`, by which tests start `governess`."""

from pathlib import Path

import pytest

from .starts import Starts

_STARTS = Starts()
#: Where there are tests that use the server.
_FOLDERS: set[Path] = set()


@pytest.fixture
def starts() -> Starts:
    """The way to start `governess`."""
    return _STARTS


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders that use the server first: to start it takes a second."""
    _FOLDERS.update(item.path.parent for item in items if _uses_server(item))
    items.sort(key=lambda item: item.path.parent not in _FOLDERS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start the server before anybody looks which children there are."""
    if _uses_server(item):
        _STARTS.open()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """End the server with the last of these folders: other tests want to be without children."""
    if nextitem is None or nextitem.path.parent not in _FOLDERS:
        _STARTS.close()


def _uses_server(item: pytest.Item) -> bool:
    return "starts" in getattr(item, "fixturenames", ())
