"""Which policy is current, and the functions that ask it."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from unittest.mock import Mock, create_autospec

import pytest

import governess
from governess import AbstractEventLoopPolicy, DefaultEventLoopPolicy

pytestmark = pytest.mark.windows

CALLS = [
    ("get_event_loop", ()),
    ("set_event_loop", (None,)),
    ("new_event_loop", ()),
    ("get_child_watcher", ()),
    ("set_child_watcher", (None,)),
]


@pytest.fixture
def mock() -> Mock:
    """A policy that records its calls, and is the current one."""
    mock = create_autospec(AbstractEventLoopPolicy, instance=True)
    governess.set_event_loop_policy(mock)
    return mock


def test_default() -> None:
    """Where none was set, the policy is a DefaultEventLoopPolicy, and always the same one."""
    policy = governess.get_event_loop_policy()
    assert type(policy) is DefaultEventLoopPolicy
    assert governess.get_event_loop_policy() is policy


def test_set() -> None:
    """What was set is the current policy."""
    policy = DefaultEventLoopPolicy()
    governess.set_event_loop_policy(policy)
    assert governess.get_event_loop_policy() is policy


def test_set_in_one_thread(in_thread: Callable[..., AbstractEventLoopPolicy]) -> None:
    """A policy that one thread sets is the current one in every thread."""
    policy = DefaultEventLoopPolicy()
    in_thread(lambda: governess.set_event_loop_policy(policy))
    assert governess.get_event_loop_policy() is policy
    assert in_thread(governess.get_event_loop_policy) is policy


def test_none_restores_the_default() -> None:
    """After None, a default policy is current again."""
    policy = DefaultEventLoopPolicy()
    governess.set_event_loop_policy(policy)
    governess.set_event_loop_policy(None)
    assert governess.get_event_loop_policy() is not policy
    assert type(governess.get_event_loop_policy()) is DefaultEventLoopPolicy


@pytest.mark.parametrize("junk", [object(), 0, "", DefaultEventLoopPolicy, asyncio])
def test_no_policy(junk: object) -> None:
    """What is no policy is refused with a TypeError, and the current policy stays."""
    policy = governess.get_event_loop_policy()
    with pytest.raises(TypeError, match="policy must be an instance of AbstractEventLoopPolicy or None, not"):
        governess.set_event_loop_policy(junk)  # type: ignore[arg-type]
    assert governess.get_event_loop_policy() is policy


@pytest.mark.parametrize(("name", "args"), CALLS)
def test_functions_ask_the_policy(mock: Mock, name: str, args: tuple[object, ...]) -> None:
    """Each function calls the method of its name with its arguments, and returns what that returns."""
    method = getattr(mock, name)
    result = getattr(governess, name)(*args)
    method.assert_called_once_with(*args)
    if name.startswith("set"):
        assert result is None
    else:
        assert result is method.return_value


def test_get_event_loop_in_a_loop(mock: Mock, loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """Where a loop runs, get_event_loop gives that one, and does not ask the policy."""

    async def main() -> bool:
        return governess.get_event_loop() is asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main())
    mock.get_event_loop.assert_not_called()


@pytest.mark.parametrize(("name", "args"), CALLS)
def test_abstract_policy(name: str, args: tuple[object, ...]) -> None:
    """Every method that a policy does not define raises NotImplementedError."""

    class Bare(AbstractEventLoopPolicy):
        pass

    governess.set_event_loop_policy(Bare())
    with pytest.raises(NotImplementedError):
        getattr(governess, name)(*args)
