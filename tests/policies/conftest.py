"""Each test starts and ends with no policy set; `policy` is one over each installed loop in turn."""

import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

import governess

T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_policy_set() -> Iterator[None]:
    governess.set_event_loop_policy(None)
    yield
    governess.set_event_loop_policy(None)


@pytest.fixture
def policy(loop_factory: Callable[[], AbstractEventLoop]) -> Iterator[governess.DefaultEventLoopPolicy]:
    """A new policy, which is the current one."""
    with governess.DefaultEventLoopPolicy(loop_factory) as policy:
        governess.set_event_loop_policy(policy)
        yield policy


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], T]], T]]:
    """Calls a function in another thread, always the same one, and gives its result or raises its error."""
    with ThreadPoolExecutor(1, thread_name_prefix="other") as pool:
        yield lambda function: pool.submit(function).result()


@pytest.fixture
def here() -> Callable[[], tuple[str, int]]:
    """Tells the file and the line that it is called in."""

    def where() -> tuple[str, int]:
        caller = sys._getframe(1)
        return caller.f_code.co_filename, caller.f_lineno

    return where
