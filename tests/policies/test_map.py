"""ThreadedEventLoopPolicy.map: work spread over loops that live each in a thread of its own."""

import asyncio
import contextvars
import itertools
import signal
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from governess import ThreadedEventLoopPolicy

pytestmark = pytest.mark.windows

Factory = Callable[[], AbstractEventLoop]


@pytest.fixture
def policy(loop_factory: Factory) -> Iterator[ThreadedEventLoopPolicy]:
    with ThreadedEventLoopPolicy(loop_factory, threads=3) as policy:
        yield policy


async def double(number: int) -> int:
    await asyncio.sleep(0.001 * (number % 3))
    return 2 * number


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_results(policy: ThreadedEventLoopPolicy, count: int) -> None:
    """The results come in the order of the items, however many there are."""
    assert policy.map(double, range(count)) == [2 * number for number in range(count)]
    assert policy.map(double, iter(range(count))) == [2 * number for number in range(count)]


def test_threads(policy: ThreadedEventLoopPolicy) -> None:
    """The work is done in as many threads as the policy was told, at the same time, and in the same ones again."""
    together = threading.Barrier(3)

    async def meet(_: int) -> threading.Thread:
        together.wait(10)
        return threading.current_thread()

    first = set(policy.map(meet, range(3)))
    assert len(first) == 3
    assert threading.current_thread() not in first
    assert set(policy.map(meet, range(3))) == first


def test_default_threads(loop_factory: Factory) -> None:
    """By default there is a thread for each CPU that this process may use."""
    with ThreadedEventLoopPolicy(loop_factory=loop_factory) as policy:
        assert policy.map(double, range(10)) == list(range(0, 20, 2))
        loops = [thread for thread in threading.enumerate() if thread.name.startswith("governess-loop")]
        assert 1 <= len(loops) <= 10


def test_at_once(policy: ThreadedEventLoopPolicy) -> None:
    """A loop has no more in progress than `at_once`."""
    here = threading.local()

    async def count(_: int) -> int:
        here.now = getattr(here, "now", 0) + 1
        most = here.now
        await asyncio.sleep(0.002)
        here.now -= 1
        return most

    assert max(policy.map(count, range(30), at_once=2)) == 2
    assert max(policy.map(count, range(30), at_once=1)) == 1

    begun: list[int] = []

    async def wait_for_all(number: int) -> int:
        here.now = getattr(here, "now", 0) + 1
        most = here.now
        begun.append(number)
        while len(begun) < 30:  # ten in each of the three loops
            await asyncio.sleep(0.001)
        here.now -= 1
        return most

    assert max(policy.map(wait_for_all, range(30))) == 10


@pytest.mark.parametrize("wrong", [0, -1])
def test_wrong_numbers(policy: ThreadedEventLoopPolicy, wrong: int) -> None:
    """Less than one thread, or less than one item at once, is a ValueError."""
    with pytest.raises(ValueError, match=f"at_once must be at least 1, not {wrong}"):
        policy.map(double, [1], at_once=wrong)
    with pytest.raises(ValueError, match=f"threads must be at least 1, not {wrong}"):
        ThreadedEventLoopPolicy(threads=wrong)


def test_error(policy: ThreadedEventLoopPolicy) -> None:
    """The first error cancels the rest, which has ended when it comes out; nothing more begins."""
    begun: list[int] = []
    cancelled: list[int] = []
    others = threading.Barrier(3)

    async def fail(number: int) -> None:
        begun.append(number)
        if number < 3:
            others.wait(10)
        if number == 0:
            raise LookupError("mine")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(LookupError, match="mine"):
        policy.map(fail, range(1000), at_once=1)
    assert sorted(begun) == [0, 1, 2]
    assert sorted(cancelled) == [1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="a thread cannot be signalled on Windows")
def test_keyboard_interrupt(policy: ThreadedEventLoopPolicy) -> None:
    """KeyboardInterrupt in the caller cancels everything."""
    main = threading.main_thread().ident
    assert main is not None
    ended: list[int] = []

    async def stay(number: int) -> None:
        try:
            if number == 0:
                signal.pthread_kill(main, signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(KeyboardInterrupt):
        policy.map(stay, range(3))
    assert 0 in ended
    assert policy.map(double, [1]) == [2]


def test_context(policy: ThreadedEventLoopPolicy) -> None:
    """The function runs in copies of the caller's context."""
    variable = contextvars.ContextVar("variable", default="nothing")
    variable.set("the caller's")

    async def look(_: int) -> str:
        return variable.get()

    assert policy.map(look, range(4)) == ["the caller's"] * 4


def test_inside(policy: ThreadedEventLoopPolicy) -> None:
    """Inside one of its loops it would wait for itself: a RuntimeError."""

    async def nest(_: int) -> Any:
        return policy.map(double, [1])

    with pytest.raises(RuntimeError, match="would wait for itself"):
        policy.map(nest, [1])


def test_close(policy: ThreadedEventLoopPolicy) -> None:
    """The policy closes the loops, and makes new ones when it is asked again."""
    assert policy.map(double, [1]) == [2]
    policy.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("governess-loop")]
    assert policy.map(double, [1]) == [2]


def test_work_that_waits_in_c(policy: ThreadedEventLoopPolicy) -> None:
    """What blocks its loop without the interpreter's lock is done side by side."""

    async def block(_: int) -> int:
        return all_are_there.wait(10)

    all_are_there = threading.Barrier(3)
    assert sorted(policy.map(block, range(3), at_once=1)) == [0, 1, 2]


def test_context_of_an_item(policy: ThreadedEventLoopPolicy) -> None:
    """What the call for one item sets in a context variable, the call for another one does not see."""
    user = contextvars.ContextVar("user", default=None)

    async def handle(item: int) -> Any:
        before = user.get()
        user.set(item)
        await asyncio.sleep(0)
        return before, user.get()

    assert policy.map(handle, range(20), at_once=2) == [(None, item) for item in range(20)]
    assert policy.map(handle, iter(range(20)), at_once=2) == [(None, item) for item in range(20)]


def test_takes_what_it_needs(policy: ThreadedEventLoopPolicy) -> None:
    """From a generator no more items are taken than are at work, in one thread at a time."""
    lock = threading.Lock()
    at_work = most = 0

    def items() -> Iterator[int]:
        nonlocal at_work, most
        for number in range(60):
            with lock:
                at_work += 1
                most = max(most, at_work)
            yield number

    async def work(number: int) -> int:
        nonlocal at_work
        await asyncio.sleep(0.001)
        with lock:
            at_work -= 1
        return number

    assert policy.map(work, items(), at_once=4) == list(range(60))
    assert most <= 3 * 4 + 1


def test_endless_items(policy: ThreadedEventLoopPolicy) -> None:
    """An error ends the work on an endless generator; so does an error of the generator."""

    async def fail(number: int) -> None:
        if number == 20:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        policy.map(fail, itertools.count())

    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("the generator's")

    with pytest.raises(LookupError, match="the generator's"):
        policy.map(double, broken())


def test_threads_by_position(loop_factory: Factory) -> None:
    """A number in the first place is the number of threads, as in ThreadPoolExecutor(4)."""
    with ThreadedEventLoopPolicy(2) as policy:
        assert policy.map(double, range(3)) == [0, 2, 4]
        assert len([thread for thread in threading.enumerate() if thread.name.startswith("governess-loop")]) == 2
    with pytest.raises(TypeError):
        ThreadedEventLoopPolicy(2, threads=2)
