"""The turns of a prioritized loop: readers, timers and `stop` are where asyncio has them."""

import asyncio
import contextlib
import gc
import os
import sys
import time
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governess import prioritized, priority

LoopFactory = type[AbstractEventLoop]

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="a proactor loop has no add_reader")


@pytest.fixture(params=[False, True], ids=["", "debug"])
def loop(loop_factory: LoopFactory, request: pytest.FixtureRequest) -> Iterator[Any]:
    loop = prioritized(loop_factory)()
    loop.set_debug(request.param)
    yield loop
    loop.close()


def run_round(loop: AbstractEventLoop, rounds: int = 1) -> None:
    for _ in range(rounds):
        loop.stop()
        loop.run_forever()


@on_posix
@pytest.mark.parametrize("level", [-5, 0, 19])
def test_reader_is_called_once(loop: Any, level: int) -> None:
    """A reader is called once for each readiness, and never without data, so that it may block."""
    r, w = os.pipe()
    os.set_blocking(r, False)  # a second call is an error then
    seen: list[bytes] = []
    reports: list[Any] = []
    loop.set_exception_handler(lambda _, report: reports.append(report))
    with priority(level):
        loop.add_reader(r, lambda: seen.append(os.read(r, 9)))
    for number in range(20):
        os.write(w, b"%d" % number)
        for _ in range(number % 4):
            loop.call_soon(str)
        run_round(loop, 4)
    loop.remove_reader(r)
    os.close(r)
    os.close(w)
    assert reports == []
    assert b"".join(seen) == b"".join(b"%d" % number for number in range(20))


@on_posix
def test_writer_is_called_when_writable(loop: Any) -> None:
    """A writer is not called again after it has filled the pipe."""
    r, w = os.pipe()
    os.set_blocking(r, False)
    os.set_blocking(w, False)
    reports: list[Any] = []
    loop.set_exception_handler(lambda _, report: reports.append(report))
    loop.add_writer(w, lambda: os.write(w, bytes(1 << 20)))
    for _ in range(20):
        loop.call_soon(str)
        run_round(loop, 2)
        with contextlib.suppress(BlockingIOError):
            os.read(r, 1 << 20)
    loop.remove_writer(w)
    os.close(r)
    os.close(w)
    assert reports == []


@on_posix
@pytest.mark.parametrize("what", ["reader", "timer"])
def test_urgent_handler_in_its_turn(loop_factory: LoopFactory, what: str) -> None:
    """In the turn in which it fires, an urgent handler comes before what was queued for that turn."""
    loop: Any = prioritized(loop_factory)()
    r, w = os.pipe()
    called: list[str] = []
    try:
        with priority(-5):
            if what == "reader":
                loop.add_reader(r, lambda: (os.read(r, 9), called.append("urgent")))
            else:
                loop.call_later(0.001, called.append, "urgent")
        run_round(loop)
        os.write(w, b"x")
        time.sleep(0.003)
        if loop_factory.__module__.startswith("uvloop") and what == "reader":
            run_round(loop)  # uvloop calls readers after what is ready, at the end of a turn
        loop.call_soon(called.append, "normal")
        run_round(loop, 2)
    finally:
        loop.remove_reader(r)
        loop.close()
        os.close(r)
        os.close(w)
    assert called == ["urgent", "normal"]


def test_stream_reader_in_its_turn(loop_factory: LoopFactory) -> None:
    """What a loop's own transport wakes is reached before the normal callbacks of the turn too."""
    if loop_factory.__module__.startswith("uvloop"):
        pytest.skip("uvloop calls its transports at the end of a turn")

    async def main() -> list[str]:
        called: list[str] = []
        server = await asyncio.start_server(lambda reader, writer: writers.append(writer), "127.0.0.1", 0)
        writers: list[asyncio.StreamWriter] = []
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        while not writers:
            await asyncio.sleep(0.001)

        async def urgent() -> None:
            await reader.readline()
            called.append("urgent")

        with priority(-5):
            task = asyncio.create_task(urgent())
        await asyncio.sleep(0)
        writers[0].write(b"line\n")
        time.sleep(0.01)
        asyncio.get_running_loop().call_soon(called.append, "normal")
        await task
        writer.close()
        writers[0].close()
        server.close()
        await asyncio.sleep(0.01)
        return called

    with asyncio.Runner(loop_factory=prioritized(loop_factory)) as runner:
        assert runner.run(main()) == ["urgent", "normal"]


ACTIONS = st.lists(st.sampled_from(["soon", "later", "threadsafe", "stop", "nested"]), min_size=1, max_size=8)


def test_order_is_asyncios(loop_factory: LoopFactory) -> None:
    """Without priorities, callbacks, timers and `stop` have the same order, turn by turn, as in the plain loop."""

    def play(loop: AbstractEventLoop, actions: list[str]) -> list[list[int]]:
        turns: list[list[int]] = []
        called: list[int] = []

        def nested(number: int) -> None:
            called.append(number)
            loop.call_soon(called.append, 100 + number)
            loop.call_soon(called.append, 200 + number)

        try:
            for number, action in enumerate(actions):
                if action == "soon":
                    loop.call_soon(called.append, number)
                elif action == "nested":
                    loop.call_soon(nested, number)
                elif action == "later":
                    loop.call_at(loop.time() - 1, called.append, number)
                elif action == "threadsafe":
                    loop.call_soon_threadsafe(called.append, number)
                else:
                    loop.call_soon(loop.stop)
            for _ in range(4):
                loop.stop()
                loop.run_forever()
                turns.append(list(called))
        finally:
            loop.close()
        return turns

    @settings(max_examples=60, deadline=None)
    @given(ACTIONS)
    def test(actions: list[str]) -> None:
        assert play(prioritized(loop_factory)(), actions) == play(loop_factory(), actions)

    test()


def test_task_in_the_log(loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    """In debug mode a slow step is logged with its task, its coroutine and, on asyncio, where the task was made."""

    async def slow_step() -> None:
        time.sleep(0.02)

    async def main() -> None:
        await asyncio.get_running_loop().create_task(slow_step(), name="the slow one")

    debug = loop.get_debug()
    loop.slow_callback_duration = 0.01
    loop.run_until_complete(main())
    # On a busy machine a step of `main` may be slow as well.
    messages = [text for it in caplog.records if "<Task finished name='the slow one'" in (text := it.getMessage())]
    assert len(messages) == (1 if debug else 0)
    if debug:
        assert "took" in messages[0]
        assert "slow_step" in messages[0]
        assert __file__ in messages[0]


def test_closed_loop_keeps_no_handle(loop: Any) -> None:
    """When the loop is closed, nothing of what it had queued is left, without a look of the collector."""

    class Thing:
        def __call__(self) -> None: ...

    gc.collect()
    gc.disable()
    try:
        things = [Thing() for _ in range(4)]
        left = [weakref.ref(it) for it in things]
        loop.call_soon(things[0])
        timer = loop.call_later(100, things[1])
        loop.call_later(0, things[2])
        if sys.platform != "win32":
            r, w = os.pipe()
            loop.add_reader(r, things[3])
            os.close(w)
        run_round(loop, 3)
        timer.cancel()
        loop.call_soon(things[1])
        if sys.platform != "win32":
            loop.remove_reader(r)
            os.close(r)
        del things, timer
        loop.close()
        assert [it() for it in left] == [None] * 4
    finally:
        gc.enable()
