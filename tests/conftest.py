"""The loops that tests run over."""

import asyncio
import os
import signal
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable

import pytest

#: The classes that a program gets where nobody chose.
LOOPS: dict[str, Callable[[], AbstractEventLoop]] = {
    "asyncio": asyncio.ProactorEventLoop if sys.platform == "win32" else asyncio.SelectorEventLoop
}

try:
    import uvloop
except ImportError:
    if os.environ.get("GOVERNESS_REQUIRE_UVLOOP") == "1":
        raise
else:
    LOOPS["uvloop"] = uvloop.Loop


@pytest.fixture(params=LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    """Each installed loop in turn: asyncio, uvloop."""
    return request.param


@pytest.fixture
def loop_factory(loop_name: str) -> Callable[[], AbstractEventLoop]:
    """The plain class of that loop, as `governess.watched` takes it."""
    return LOOPS[loop_name]


def pytest_configure() -> None:
    """Take SIGINT, which a shell lets its background ignore; insist on the extensions if asked to."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # the children of the tests inherit either
    if os.environ.get("GOVERNESS_REQUIRE_NATIVE") == "1":
        import governess.children._spawn
        import governess.loops._ready  # noqa: F401
