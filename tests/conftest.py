"""The loops that tests run over."""

import os
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable

import pytest

from loop_classes import LOOPS


@pytest.fixture(params=LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    """Each installed loop in turn: asyncio, uvloop."""
    return request.param


@pytest.fixture
def loop_factory(loop_name: str) -> Callable[[], AbstractEventLoop]:
    """The plain class of that loop, as `governess.watched` takes it."""
    return LOOPS[loop_name]


def pytest_configure(config: pytest.Config) -> None:
    """Take SIGINT and SIGQUIT, which a shell has its background ignore; insist on the extensions if asked to."""
    _let_the_main_thread_alone_get_sigchld(config)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # the children of the tests inherit either
    if hasattr(signal, "SIGQUIT") and signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if os.environ.get("GOVERNESS_REQUIRE_NATIVE") == "1":
        import governess.children._spawn._native
        import governess.loops._priority._ready  # noqa: F401


def _let_the_main_thread_alone_get_sigchld(config: pytest.Config) -> None:
    """Have xdist's threads in each worker block SIGCHLD: Python tells of a signal late that another thread has got."""
    if not hasattr(signal, "pthread_sigmask"):
        return
    if "PYTEST_XDIST_WORKER" in os.environ:  # in its main thread, which has started with it blocked, as its others
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    elif config.getoption("numprocesses", None):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
