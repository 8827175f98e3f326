"""A pytest plugin: the fixture `starts`, by which tests start `governess`."""

import pytest

from .starts import Starts

_STARTS = Starts()


@pytest.fixture
def starts() -> Starts:
    """The way to start `governess`."""
    return _STARTS


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start the server before anybody looks which children there are."""
    if "starts" in getattr(item, "fixturenames", ()):
        _STARTS.open()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the server with the last test of a folder: other tests want to be without children."""
    if nextitem is None or nextitem.path.parent != item.path.parent:
        _STARTS.close()
