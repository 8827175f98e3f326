"""ThreadScope: each thread has its own loop."""

import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

import pytest

from governess.policies import ThreadScope

pytestmark = pytest.mark.windows


@pytest.fixture
def scope() -> ThreadScope:
    return ThreadScope()


@pytest.fixture
def loop() -> Any:
    return create_autospec(AbstractEventLoop, instance=True)


def test_new(scope: ThreadScope) -> None:
    """At first there is no loop, and the main thread may have one made."""
    assert scope.get() is None
    assert scope.may_create()


def test_set(scope: ThreadScope, loop: Any) -> None:
    """What was set is there until None takes it away; from the first time on, none is made."""
    scope.set(loop)
    assert scope.get() is loop
    assert not scope.may_create()
    scope.set(None)
    assert scope.get() is None
    assert not scope.may_create()


def test_none_counts(scope: ThreadScope) -> None:
    """To set None is to set: none is made afterwards."""
    scope.set(None)
    assert not scope.may_create()


def test_threads_are_apart(scope: ThreadScope, loop: Any, in_thread: Callable[..., Any]) -> None:
    """A thread sees only what it has set itself, and may have none made."""
    scope.set(loop)
    assert in_thread(scope.get) is None
    assert in_thread(scope.may_create) is False
    in_thread(lambda: scope.set(None))
    assert scope.get() is loop


def test_scopes_are_apart(scope: ThreadScope, loop: Any) -> None:
    """Two scopes know nothing of each other."""
    scope.set(loop)
    assert ThreadScope().get() is None


def test_describe(scope: ThreadScope, in_thread: Callable[..., str]) -> None:
    """It is described by the thread's name."""
    assert scope.describe() == f"thread {threading.current_thread().name!r}"
    assert in_thread(scope.describe) == "thread 'other_0'"
