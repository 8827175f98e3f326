"""PriorityEventLoopPolicy, `prioritized` and `priority`: who is more urgent runs first, and nobody waits for ever."""

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import socket
import sys
import threading
import time
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from governess import PriorityEventLoopPolicy, prioritized, priority
from governess.loops._priority.ready import AGING_STEP

pytestmark = pytest.mark.windows

LoopFactory = Callable[[], AbstractEventLoop]


@pytest.fixture
def loop(loop_factory: LoopFactory) -> Iterator[AbstractEventLoop]:
    loop = prioritized(loop_factory)()
    yield loop
    loop.close()


def run_round(loop: AbstractEventLoop, rounds: int = 3) -> None:
    """Let everything run that is ready."""
    for _ in range(rounds):
        loop.stop()
        loop.run_forever()


def test_order(loop: AbstractEventLoop) -> None:
    """The most urgent runs first; inside one priority, who came first."""
    called: list[tuple[int, int]] = []
    for number in range(3):
        for level in (0, 19, -5, 3, -20):
            with priority(level):
                loop.call_soon(called.append, (level, number))
    run_round(loop)
    assert called == [(level, number) for level in (-20, -5, 0, 3, 19) for number in range(3)]


def test_without_priorities(loop: AbstractEventLoop) -> None:
    """Where nobody says otherwise, the order is asyncio's."""
    called: list[int] = []
    for number in range(1000):
        loop.call_soon(called.append, number)
    run_round(loop)
    assert called == list(range(1000))


def test_what_comes_meanwhile(loop: AbstractEventLoop) -> None:
    """What comes while others run takes its place among them."""
    called: list[str] = []

    def first() -> None:
        called.append("first")
        with priority(-1):
            loop.call_soon(called.append, "urgent")

    loop.call_soon(first)
    loop.call_soon(called.append, "second")
    run_round(loop)
    assert called == ["first", "urgent", "second"]


def test_context(loop: AbstractEventLoop) -> None:
    """The priority is that of the context that is given, else of the one here; the callback runs in it."""
    called: list[str] = []
    variable = contextvars.ContextVar("variable", default="unset")
    given = contextvars.copy_context()
    given.run(variable.set, "given")
    with priority(-3):
        loop.call_soon(lambda: called.append(f"given, {variable.get()}"), context=given)
        loop.call_soon(lambda: called.append(f"here, {variable.get()}"))
    run_round(loop)
    assert called == ["here, unset", "given, given"]


def test_tasks_inherit(loop_factory: LoopFactory) -> None:
    """Each step of a task has the priority that held where the task was made."""

    async def main() -> list[str]:
        steps: list[str] = []

        async def work(name: str) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
                steps.append(name)

        with priority(10):
            slow = asyncio.create_task(work("slow"))
        with priority(-10):
            fast = asyncio.create_task(work("fast"))
        await asyncio.gather(slow, fast)
        return steps

    with PriorityEventLoopPolicy(loop_factory) as policy, asyncio.Runner(loop_factory=policy.loop_factory) as runner:
        assert runner.run(main()) == ["fast"] * 3 + ["slow"] * 3


def test_own_priority(loop_factory: LoopFactory) -> None:
    """A task has another priority while it is inside the block."""

    async def main() -> list[str]:
        steps: list[str] = []

        async def raised() -> None:
            with priority(-1):
                for _ in range(3):
                    await asyncio.sleep(0)
                    steps.append("raised")
            for _ in range(3):
                await asyncio.sleep(0)
                steps.append("as before")

        async def normal() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
                steps.append("normal")

        await asyncio.gather(raised(), normal())
        return steps

    with asyncio.Runner(loop_factory=prioritized(loop_factory)) as runner:
        steps = runner.run(main())
    assert steps == ["raised"] * 3 + ["as before", "normal"] * 3


def test_threadsafe(loop: AbstractEventLoop) -> None:
    """What another thread gives is ordered too, by the priority of its context, and wakes the loop."""
    called: list[str] = []

    def give() -> None:
        with priority(-1):
            loop.call_soon_threadsafe(called.append, "urgent")
        loop.call_soon_threadsafe(loop.stop)

    loop.call_soon(called.append, "first come")
    thread = threading.Thread(target=give)
    thread.start()
    thread.join()
    loop.run_forever()
    assert called == ["urgent", "first come"]
    waker = threading.Timer(0.02, loop.call_soon_threadsafe, [loop.stop])
    waker.start()
    loop.run_forever()
    waker.join()


def test_many_threads(loop: AbstractEventLoop) -> None:
    """Of what many threads give at once, with many priorities, nothing is lost and nothing called twice."""
    called: list[tuple[int, int]] = []
    expected = {(thread, number) for thread in range(8) for number in range(300)}

    def call(it: tuple[int, int]) -> None:
        called.append(it)
        if len(called) == len(expected):
            loop.stop()

    def give(thread: int) -> None:
        for number in range(300):
            with priority(number % 40 - 20):
                loop.call_soon_threadsafe(call, (thread, number))

    threads = [threading.Thread(target=give, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    loop.run_forever()
    for thread in threads:
        thread.join()
    run_round(loop)
    assert len(called) == len(expected)
    assert set(called) == expected


def test_timers(loop: AbstractEventLoop) -> None:
    """A timer joins when its time has come: a more urgent one waits for its time, and then goes first."""
    called: list[str] = []
    now = loop.time()
    loop.call_at(now + 0.01, called.append, "normal")
    with priority(-5):
        loop.call_at(now + 0.01, called.append, "urgent")
        later = loop.call_later(600, called.append, "later")
    with priority(19):
        loop.call_at(now + 0.01, loop.stop)
    time.sleep(0.02)
    loop.run_forever()
    later.cancel()
    assert called == ["urgent", "normal"]


def test_timer_handle(loop: AbstractEventLoop) -> None:
    """A timer's handle tells its time and can be cancelled, before its time and while it waits for its turn."""
    called: list[str] = []
    when = loop.time() + 0.01
    cancelled, in_line = loop.call_at(when, called.append, "no"), loop.call_at(when, called.append, "no")
    assert isinstance(cancelled, asyncio.TimerHandle)
    assert cancelled.when() == pytest.approx(when)
    assert loop.call_later(10, print) > cancelled
    assert "append" in repr(cancelled)
    cancelled.cancel()
    cancelled.cancel()
    assert cancelled.cancelled()
    assert not in_line.cancelled()
    with priority(-1):
        loop.call_at(when, in_line.cancel)
    loop.call_later(0.03, loop.stop)
    time.sleep(0.02)
    loop.run_forever()
    assert called == []
    assert in_line.cancelled()


@pytest.mark.parametrize("method", ["call_later", "call_at"])
def test_timer_without_a_time(loop: AbstractEventLoop, method: str) -> None:
    """None is no time."""
    with pytest.raises(TypeError):
        getattr(loop, method)(None, print)


@pytest.mark.skipif(sys.platform == "win32", reason="a proactor loop has no add_reader")
def test_descriptors(loop: AbstractEventLoop) -> None:
    """A descriptor's callback joins when it is ready, and is there once at a time."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        received: list[bytes] = []
        ours.setblocking(False)
        with priority(19):
            loop.add_reader(ours, lambda: received.append(ours.recv(100)))
        theirs.send(b"hello")
        keep_busy(loop, 30)
        run_round(loop, 50)
        assert received == [b"hello"]
        loop.remove_reader(ours)

        written: list[int] = []
        loop.add_writer(ours.fileno(), lambda: (written.append(ours.send(b"x")), loop.remove_writer(ours)))
        run_round(loop)
        assert written == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="a proactor loop has no add_reader")
def test_removed_in_line(loop: AbstractEventLoop) -> None:
    """A reader that is removed while it waits for its turn is not called."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        called: list[str] = []
        with priority(19):
            loop.add_reader(ours, called.append, "no")
        theirs.send(b"x")
        keep_busy(loop, 10, then=lambda: loop.remove_reader(ours))
        run_round(loop, 30)
        assert called == []


def keep_busy(loop: AbstractEventLoop, count: int, then: Callable[[], object] = lambda: None) -> None:
    """Have the loop call one callback after the other."""
    if count:
        loop.call_soon(keep_busy, loop, count - 1, then)
    else:
        then()


@pytest.mark.skipif(sys.platform == "win32", reason="loops have no signal handlers there")
def test_signals(loop: AbstractEventLoop) -> None:
    """A signal's handler joins when the signal comes; removed, it is not called any more."""
    called: list[str] = []
    before = signal.getsignal(signal.SIGUSR1)
    with priority(-5):
        loop.add_signal_handler(signal.SIGUSR1, lambda: (called.append("signal"), loop.stop()))
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    assert called == ["signal"]

    def remove() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        keep_busy(loop, 10, then=lambda: (loop.remove_signal_handler(signal.SIGUSR1), loop.stop()))

    with priority(19):
        loop.add_signal_handler(signal.SIGUSR1, called.append, "no")
    loop.call_soon(remove)
    loop.run_forever()
    run_round(loop)
    assert called == ["signal"]
    signal.signal(signal.SIGUSR1, before)
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.add_signal_handler(signal.SIGUSR1, asyncio.sleep)


def test_no_starvation(loop: AbstractEventLoop) -> None:
    """However many urgent ones come, what waits is called after AGING_STEP callbacks for each step between them."""
    urgent = 0

    def keep_coming() -> None:
        nonlocal urgent
        urgent += 1
        if not called:
            loop.call_soon(keep_coming)

    called: list[int] = []
    with priority(2):
        loop.call_soon(lambda: called.append(urgent))
    with priority(-1):
        loop.call_soon(keep_coming)
    deadline = time.monotonic() + 10
    while not called and time.monotonic() < deadline:
        run_round(loop)
    # A proactor loop has callbacks of its own.
    assert called == [pytest.approx(3 * AGING_STEP, abs=1 if sys.platform != "win32" else AGING_STEP)]


def test_timers_and_descriptors_are_looked_after(loop: AbstractEventLoop) -> None:
    """An endless chain of urgent callbacks does not keep a timer from firing."""
    fired = []

    def keep_coming() -> None:
        if not fired:
            loop.call_soon(keep_coming)

    loop.call_later(0.01, fired.append, True)
    with priority(-20):
        loop.call_soon(keep_coming)
        loop.call_later(5, loop.stop)
    while not fired:
        run_round(loop)


def test_context_of_a_timer(loop: AbstractEventLoop) -> None:
    """A timer runs in the context in which it was made, and tells it before, and after it was cancelled."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []
    handles: list[asyncio.TimerHandle] = []

    def note(number: int) -> None:
        assert variable.get() == number
        seen.append(number)

    for number in range(1, 5):
        context = contextvars.copy_context()
        context.run(variable.set, number)
        handles.append(context.run(loop.call_later, number / 100, note, number))
        handles.append(context.run(loop.call_at, loop.time() + number / 100, note, number))
    asked = handles[5]
    assert asked.get_context().get(variable) == 3
    assert asked.get_context() is asked.get_context()
    handles[0].cancel()
    handles[0].cancel()
    assert handles[0].cancelled()
    assert handles[0].get_context().get(variable) == 1
    loop.call_later(0.1, loop.stop)
    loop.run_forever()
    assert sorted(seen) == [1, 2, 2, 3, 3, 4, 4]
    assert [it.get_context().get(variable) for it in handles] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_handle(loop: AbstractEventLoop) -> None:
    """The handle is asyncio's in all that is public."""
    called: list[int] = []
    context = contextvars.copy_context()
    handle = loop.call_soon(called.append, 1, context=context)
    assert isinstance(handle, asyncio.Handle)
    assert handle.get_context() is context
    assert repr(handle).startswith("<Handle list.append(")
    assert not handle.cancelled()
    handle.cancel()
    handle.cancel()
    assert handle.cancelled()
    assert repr(handle).startswith("<Handle cancelled")  # `python -X dev` tells where it was made
    run_round(loop)
    assert called == []


def test_cancelled_lets_go(loop: AbstractEventLoop) -> None:
    """A cancelled callback lets go of what it was given at once, and counts for nothing."""

    class Thing:
        pass

    thing = Thing()
    left = weakref.ref(thing)
    handles = [loop.call_soon(print, thing) for _ in range(10)]
    del thing
    for handle in handles:
        handle.cancel()
    assert left() is None
    called: list[int] = []
    loop.call_soon(called.append, 1)
    loop.stop()
    loop.run_forever()
    assert called == [1]


def test_called_lets_go(loop: AbstractEventLoop) -> None:
    """After a callback has run, and a timer has fired, the loop keeps nothing of them."""

    class Thing:
        pass

    things = [Thing(), Thing()]
    left = [weakref.ref(thing) for thing in things]
    loop.call_soon(id, things.pop())
    loop.call_later(0, id, things.pop())
    gc.collect()
    gc.disable()
    try:
        time.sleep(0.002)
        run_round(loop, 5)
        assert [it() for it in left] == [None, None]
    finally:
        gc.enable()


def test_exceptions(loop: AbstractEventLoop) -> None:
    """An error in a callback goes to the loop's exception handler, as asyncio tells it; the others are called."""
    reports: list[dict[str, Any]] = []
    called: list[int] = []
    loop.set_exception_handler(lambda _, report: reports.append(report))

    def fail() -> None:
        raise ValueError("bad")

    handle = loop.call_soon(fail)
    loop.call_soon(called.append, 1)
    run_round(loop)
    (report,) = reports
    assert report["message"].startswith("Exception in callback")
    assert "fail()" in report["message"]
    assert report["handle"] is handle
    assert str(report["exception"]) == "bad"
    assert called == [1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted(loop: AbstractEventLoop, error: type[BaseException]) -> None:
    """KeyboardInterrupt and SystemExit leave the loop, which can go on where it was."""

    def interrupt() -> None:
        raise error

    called: list[int] = []
    loop.call_soon(interrupt)
    loop.call_soon(called.append, 1)
    with pytest.raises(error):
        loop.run_forever()
    run_round(loop)
    assert called == [1]


def test_stop(loop: AbstractEventLoop, loop_factory: LoopFactory) -> None:
    """`stop` lets the same callbacks run first as in the plain loop; the others wait until the loop runs again."""

    def try_in(loop: AbstractEventLoop) -> tuple[list[str], list[str]]:
        called: list[str] = []

        def first() -> None:
            called.append("first")
            loop.call_soon(called.append, "third")

        loop.call_soon(first)
        loop.call_soon(loop.stop)
        loop.call_soon(called.append, "second")
        loop.run_forever()
        before = list(called)
        run_round(loop)
        return before, called

    plain = loop_factory()
    try:
        assert try_in(loop) == try_in(plain)
    finally:
        plain.close()


def test_debug_mode(loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture) -> None:
    """In debug mode a slow callback is named, and a report tells where the callback was given."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.01
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, report: reports.append(report))
    called: list[int] = []

    def fail() -> None:
        raise ValueError

    def slow() -> None:
        time.sleep(0.02)

    with priority(3):
        handle = loop.call_soon(fail)
    loop.call_soon(slow)
    for number in range(20):
        loop.call_soon(called.append, number)
    run_round(loop, 5)
    assert called == list(range(20))
    messages = [record.getMessage() for record in caplog.records]
    assert len([it for it in messages if "took" in it and "slow()" in it]) == 1
    assert reports[0]["source_traceback"][-1].filename == __file__
    assert f"created at {__file__}" in repr(handle)


def test_debug_mode_later(loop: AbstractEventLoop) -> None:
    """Turned on and off while callbacks wait, debug mode loses none of them."""
    called: list[int] = []
    for number in range(12):
        loop.set_debug(number % 4 in (1, 2))
        loop.call_soon(called.append, number)
    run_round(loop)
    assert called == list(range(12))


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe"])
def test_no_coroutines(loop: AbstractEventLoop, method: str) -> None:
    """In debug mode a coroutine function or what cannot be called is refused."""
    loop.set_debug(True)
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        getattr(loop, method)(asyncio.sleep)
    with pytest.raises(TypeError, match="callable"):
        getattr(loop, method)(5)


def test_wrong_thread(loop: AbstractEventLoop, in_thread: Callable[..., Any]) -> None:
    """In debug mode `call_soon` from another thread than the loop's is an error."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match="thread"):
            await loop.run_in_executor(None, loop.call_soon, print)

    loop.set_debug(True)
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())


@pytest.mark.parametrize("debug", [False, True])
def test_closed(loop_factory: LoopFactory, debug: bool) -> None:
    """A closed loop has forgotten what it had, and takes nothing more."""

    class Thing:
        pass

    thing = Thing()
    left = weakref.ref(thing)
    loop = prioritized(loop_factory)()
    loop.set_debug(debug)
    loop.call_soon(print, thing)
    loop.call_later(1, print, thing)
    loop.close()
    del thing
    gc.collect()
    assert left() is None
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            loop.call_soon(print)
        with pytest.raises(RuntimeError, match="closed"):
            loop.call_soon_threadsafe(print)


def test_class(loop_factory: type[AbstractEventLoop]) -> None:
    """The same class gives the same subclass, whose own it is already."""
    assert prioritized(loop_factory) is prioritized(loop_factory)
    assert prioritized(prioritized(loop_factory)) is prioritized(loop_factory)
    assert issubclass(prioritized(loop_factory), loop_factory)


def test_policy_takes_any_factory(loop_factory: LoopFactory) -> None:
    """A policy's loop heeds priorities even if its factory is a function."""
    with PriorityEventLoopPolicy(lambda: loop_factory()) as policy:
        loop = policy.new_event_loop()
        called: list[int] = []
        loop.call_soon(called.append, 2)
        with priority(-1):
            loop.call_soon(called.append, 1)
        run_round(loop)
        assert called == [1, 2]


def test_priority_belongs_to_the_context() -> None:
    """Blocks nest, and the one before comes back, after an error too."""
    from governess.loops._priority.ready import current_priority

    assert current_priority.get() == 0
    with priority(-5):
        with contextlib.suppress(ValueError), priority(7):
            assert current_priority.get() == 7
            raise ValueError
        assert current_priority.get() == -5
    assert current_priority.get() == 0


@pytest.mark.parametrize(("level", "error"), [(-21, ValueError), (20, ValueError), ("1", TypeError), (1.0, TypeError)])
def test_bad_priority(level: Any, error: type[Exception]) -> None:
    """A priority out of range, or that is no integer, is refused."""
    with pytest.raises(error, match="priority"), priority(level):
        pass
