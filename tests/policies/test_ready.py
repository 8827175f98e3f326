"""The queue of a prioritized loop: the same in C and in Python, and nothing that is let go of can break it."""

import asyncio
import contextvars
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governess import prioritized
from governess.loops import _priority
from governess.loops._priority import ready
from governess.loops._priority.loop import PrioritizedLoop
from governess.loops._priority.ready import current_priority

try:
    from governess.loops._priority import _ready
except ImportError:
    _ready = None

needs_extension = pytest.mark.skipif(_ready is None, reason="the extension is not built")

CONTEXT = contextvars.copy_context()


@pytest.fixture(params=["Python", pytest.param("C", marks=needs_extension)])
def kind(request: pytest.FixtureRequest) -> ModuleType:
    """The module of each kind of queue."""
    return _ready if request.param == "C" else ready


@pytest.fixture
def loop(
    kind: ModuleType, loop_factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A prioritized loop with that kind of queue, whichever is the one in use."""

    class Loop(prioritized(loop_factory)):  # type: ignore[misc]
        call_soon, call_soon_threadsafe = kind.call_soon, kind.call_soon_threadsafe
        call_later, call_at = kind.call_later, kind.call_at

        def set_debug(self, enabled: bool) -> None:
            super(PrioritizedLoop, self).set_debug(False)  # the handles of debug mode are of the kind in use

    monkeypatch.setitem(prioritized.__globals__, "ReadyQueue", kind.ReadyQueue)
    loop = Loop()
    yield loop
    loop.close()


def fail(*args: Any) -> None:
    raise AssertionError(args)


class Thing:
    """What dies is told, by a function that is called in its __del__."""

    def __init__(self, at_death: Callable[[], object] = lambda: None) -> None:
        self.at_death = at_death

    def __del__(self) -> None:
        self.at_death()


def run_round(loop: Any, rounds: int = 2) -> None:
    for _ in range(rounds):
        loop.stop()
        loop.run_forever()


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(-20, 19)),
    st.tuples(st.just("add"), st.sampled_from([-1, 0, 0, 1])),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("take"), st.integers(1, 3)),
    st.tuples(st.just("run"), st.integers(0, 5)),
    st.tuples(st.just("clear"), st.just(0)),
)


def played(kind: ModuleType, steps: list[tuple[str, int]]) -> list[Any]:
    """What a queue of that kind gives out, and how it looks, after each step."""
    queue, handles, seen = kind.ReadyQueue(3), [], []
    for name, number in steps:
        if name == "add":
            handles.append(kind.ReadyHandle(seen.append, (len(handles),), CONTEXT))
            queue.add(handles[-1], number)
        elif name == "cancel" and handles:
            handles[number % len(handles)].cancel()
        elif name == "take":
            for handle in (queue.take() for _ in range(number)):
                seen.append(handle and handles.index(handle))
        elif name == "run":
            last = queue.run(number, fail)
            seen.append(last and handles.index(last))
        elif name == "clear":
            queue.clear()
        seen.append(
            (len(queue), bool(queue), queue.ran, [(it.due, it.cancelled()) for it in handles if it.due is not None])
        )
    return seen


@needs_extension
@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_both_kinds_agree(steps: list[tuple[str, int]]) -> None:
    """Whatever is added, cancelled, taken, run and cleared, both kinds give out the same in the same order."""
    assert played(_ready, steps) == played(ready, steps)


def test_handle(kind: ModuleType) -> None:
    """A handle is asyncio's to the eye, can be weakly referred to, and has a place queued until it is taken."""
    queue = kind.ReadyQueue(100)
    handle = kind.ReadyHandle(max, (1, 2), CONTEXT)
    assert isinstance(handle, asyncio.Handle)
    assert not isinstance(handle, asyncio.TimerHandle)
    assert (handle.callback, handle.args, handle.get_context()) == (max, (1, 2), CONTEXT)
    assert handle.context is CONTEXT
    assert handle.source_traceback is None
    assert repr(handle).startswith("<Handle max(")  # some versions tell the arguments
    queue.add(handle, -2)
    assert handle.due == -200
    assert queue.take() is handle
    assert handle.due is None
    left = weakref.ref(handle)
    handle.cancel()
    assert (handle.cancelled(), handle.callback, handle.args) == (True, None, None)
    assert repr(handle) == "<Handle cancelled>"
    del handle
    assert left() is None


def test_subclass_of_a_handle(kind: ModuleType) -> None:
    """A subclass of the handle's class can be queued, and is let go of as a whole."""

    class Handle(kind.ReadyHandle):  # type: ignore[name-defined, misc]
        pass

    queue, thing = kind.ReadyQueue(100), Thing()
    left = weakref.ref(thing)
    handle = Handle(print, (thing,), CONTEXT)
    handle.itself = handle
    queue.add(handle, 0)
    assert queue.take() is handle
    del handle, thing
    gc.collect()
    assert left() is None


@pytest.mark.parametrize("count", range(5))
def test_arguments(loop: Any, count: int) -> None:
    """A callback is called with its arguments, few and many."""
    called: list[tuple[Any, ...]] = []
    loop.call_soon(lambda *args: called.append(args), *range(count))
    run_round(loop)
    assert called == [tuple(range(count))]


def test_keywords(loop: Any) -> None:
    """`callback` and `context` can be given by name, as to asyncio's loops; nothing else can, nor one twice."""
    called: list[int] = []
    loop.call_soon(callback=lambda: called.append(1))
    loop.call_soon(callback=lambda: called.append(2), context=CONTEXT)
    loop.call_soon(called.append, 3, context=None)
    run_round(loop)
    assert called == [1, 2, 3]
    for wrong in [{"priority": 1}, {"callback": print}]:
        with pytest.raises(TypeError, match=r"unexpected keyword|multiple values"):
            loop.call_soon(print, **wrong)
    for wrong in [{}, {"context": None}]:
        with pytest.raises(TypeError, match="callback"):
            loop.call_soon(**wrong)
    with pytest.raises(TypeError):
        loop.call_soon(print, context=5)


def test_signature(loop: Any) -> None:
    """`call_soon` tells what it takes, and what it does."""
    import inspect

    assert str(inspect.signature(loop.call_soon)) in {
        "(callback, *args, context=None)",
        "(callback: 'Callable[[*Ts], object]', *args: '*Ts', context: 'Context | None' = None) -> 'ReadyHandle'",
    }
    assert "more urgent" in loop.call_soon.__doc__


@pytest.mark.parametrize("callback", [None, 5, "text"])
def test_not_callable(loop: Any, callback: Any) -> None:
    """What cannot be called is an error when its turn comes, as in asyncio."""
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, report: reports.append(report))
    loop.call_soon(callback)
    run_round(loop)
    (report,) = reports
    assert isinstance(report["exception"], TypeError)


@pytest.mark.parametrize(
    ("priority", "error"),
    [
        (20, ValueError),
        (-21, ValueError),
        (1 << 80, ValueError),
        (-1 << 80, ValueError),
        ("1", TypeError),
        (2.5, TypeError),
    ],
)
def test_no_priority(loop: Any, priority: Any, error: type[Exception]) -> None:
    """What is no priority is refused, and the loop goes on."""
    called: list[int] = []
    token = current_priority.set(priority)
    try:
        with pytest.raises(error):
            loop.call_soon(called.append, 1)
    finally:
        current_priority.reset(token)
    loop.call_soon(called.append, 2)
    run_round(loop)
    assert called == [2]


def test_handled_while_reported(loop: Any) -> None:
    """While an error is reported it is the one that is handled, so that another one tells of it; not any longer."""
    seen: list[Any] = []

    def report(loop: Any, report: dict[str, Any]) -> None:
        seen.append(sys.exception())

    loop.set_exception_handler(report)
    error = ValueError()

    def bad() -> None:
        raise error

    loop.call_soon(bad)
    loop.call_soon(lambda: seen.append(sys.exception()))
    run_round(loop)
    assert seen == [error, None]
    assert sys.exception() is None


def test_error_of_the_report(kind: ModuleType) -> None:
    """If the report fails, its error leaves the turn, and what is left stays queued."""
    queue = kind.ReadyQueue(100)

    def report(handle: Any, error: BaseException) -> None:
        raise RuntimeError

    for _ in range(2):
        queue.add(kind.ReadyHandle(int, ("x",), CONTEXT), 0)
    with pytest.raises(RuntimeError) as caught:
        queue.run(2, report)
    assert isinstance(caught.value.__context__, ValueError)
    assert len(queue) == 1


def test_signal_between_callbacks(kind: ModuleType) -> None:
    """A signal handler's error leaves the turn where it came, even among callbacks that are written in C."""
    queue = kind.ReadyQueue(100)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        queue.add(kind.ReadyHandle(signal.raise_signal, (signal.SIGINT,), CONTEXT), 0)
        for _ in range(3):
            queue.add(kind.ReadyHandle(len, ((),), CONTEXT), 0)
        with pytest.raises(KeyboardInterrupt):
            queue.run(4, fail)
        assert len(queue) == 3
    finally:
        signal.signal(signal.SIGINT, before)


def test_cancels_itself(loop: Any) -> None:
    """A callback may cancel its own handle while it runs, which lets go of nothing that is in use."""
    called: list[Any] = []

    def cancel(thing: Thing) -> None:
        handles.pop().cancel()
        gc.collect()
        called.append(thing.at_death)

    handles = []
    handles.append(loop.call_soon(cancel, Thing()))
    run_round(loop)
    assert len(called) == 1


@pytest.mark.parametrize("how", ["cancel", "clear", "run", "drop"])
def test_death_does_anything(kind: ModuleType, how: str) -> None:
    """What dies with a handle may add to the queue, cancel, take, run and clear: the queue stays whole."""
    queue = kind.ReadyQueue(100)
    died: list[int] = []
    handles: list[Any] = []

    def at_death() -> None:
        died.append(1)
        if len(died) > 40:
            return
        for level in (-1, 0, 3):
            queue.add(kind.ReadyHandle(len, ((),), CONTEXT), level)
        queue.take()
        queue.run(1, fail)
        if len(died) % 3 == 0:
            queue.clear()
        if handles:
            handles.pop().cancel()

    for number in range(20):
        handles.append(kind.ReadyHandle(id, (Thing(at_death),), CONTEXT))
        queue.add(handles[-1], number % 4 - 2)
    if how == "cancel":
        handles[0].cancel()
    if how == "drop":
        handles.clear()
    if how == "clear":
        queue.clear()
    queue.run(1000, fail)
    handles.clear()
    queue.clear()
    gc.collect()
    assert len(died) == 20


def test_callbacks_do_anything(loop: Any) -> None:
    """Callbacks may cancel others, and forget all that are queued, their own loop's turn going on."""
    called: list[str] = []
    loop.call_soon(lambda: second.cancel())
    second = loop.call_soon(called.append, "cancelled")
    loop.call_soon(called.append, "called")
    loop.call_soon(lambda: (loop._ready_queue.clear(), loop.call_soon(called.append, "new")))
    loop.call_soon(called.append, "forgotten")
    run_round(loop)
    assert called == ["called", "new"]


def test_runs_within_a_run(kind: ModuleType) -> None:
    """A callback that runs the queue takes what is left from the one outside."""
    queue = kind.ReadyQueue(100)
    called: list[int] = []
    queue.add(
        kind.ReadyHandle(lambda: queue.run(10, fail), (), CONTEXT), 0
    )  # CONTEXT is entered: it needs one of its own
    for number in range(3):
        queue.add(kind.ReadyHandle(called.append, (number,), contextvars.copy_context()), 0)
    queue.run(10, fail)
    assert called == [0, 1, 2]
    assert not queue


def test_threads_meanwhile(loop: Any) -> None:
    """What threads give while turns run is called, each once."""
    called: list[tuple[int, int]] = []

    def give(thread: int) -> None:
        for number in range(200):
            loop.call_soon_threadsafe(called.append, (thread, number))

    def keep_coming() -> None:
        if any(it.is_alive() for it in threads):
            loop.call_soon(keep_coming)
        else:
            loop.call_soon(loop.stop)

    threads = [threading.Thread(target=give, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    loop.call_soon(keep_coming)
    loop.run_forever()
    run_round(loop, 3)
    for thread in threads:
        thread.join()
    assert sorted(called) == [(thread, number) for thread in range(3) for number in range(200)]


def test_dropped_line(kind: ModuleType) -> None:
    """A queue that is dropped with callbacks in it that refer to it is collected, with them."""
    queue, thing = kind.ReadyQueue(100), Thing()
    left = weakref.ref(thing)
    for _ in range(3):
        queue.add(kind.ReadyHandle(print, (queue, thing), CONTEXT), 1)
    del queue, thing
    gc.collect()
    assert left() is None


def test_handle_of_itself(kind: ModuleType) -> None:
    """A handle whose arguments lead back to it is collected."""
    arguments: list[Any] = []
    handle = kind.ReadyHandle(print, (arguments,), CONTEXT)
    arguments.append(handle)
    left = weakref.ref(handle)
    del handle, arguments
    gc.collect()
    assert left() is None


def test_chain_of_handles(kind: ModuleType) -> None:
    """A long chain of handles, each an argument of the next, can die."""
    handle = None
    for _ in range(200_000):
        handle = kind.ReadyHandle(print, (handle,), CONTEXT)
    del handle


def test_memory_stays(loop: Any) -> None:
    """A hundred thousand callbacks, called or cancelled, leave as much memory behind as none."""

    def work() -> None:
        for number in range(20_000):
            handle = loop.call_soon(len, (), context=None if number % 2 else CONTEXT)
            if number % 5 == 0:
                handle.cancel()
            if number % 7 == 0:
                loop.call_soon(int, "x", 10, context=CONTEXT)
        run_round(loop)

    loop.set_exception_handler(lambda _, report: None)
    work()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(5):
        work()
    gc.collect()
    assert sys.getallocatedblocks() - before < 500


@needs_extension
@pytest.mark.parametrize(
    "wrong",
    [
        lambda queue, handle: queue.add(handle, 0) or queue.add(handle, 0),
        lambda queue, handle: queue.add(asyncio.Handle, 0),
        lambda queue, handle: queue.add(handle),
        lambda queue, handle: queue.run("1", print),
        lambda queue, handle: _ready.ReadyQueue("1"),
        lambda queue, handle: _ready.ReadyQueue(),
        lambda queue, handle: _ready.ReadyHandle(print, None, CONTEXT),
        lambda queue, handle: _ready.ReadyHandle(print, (), CONTEXT, x=1),
        lambda queue, handle: type("Line", (_ready.ReadyQueue,), {}),
        lambda queue, handle: _ready.call_soon(handle, print),
        lambda queue, handle: _ready.call_soon(),
    ],
)
def test_misused(wrong: Callable[[Any, Any], object]) -> None:
    """The extension refuses what would break it."""
    with pytest.raises((TypeError, ValueError, AttributeError)):
        wrong(_ready.ReadyQueue(1), _ready.ReadyHandle(print, (), CONTEXT))


@needs_extension
@pytest.mark.parametrize("wrong", [None, object(), ready.ReadyQueue(1)])
def test_loop_without_a_line(wrong: Any) -> None:
    """A loop whose queue is something else is told so; one whose handle class makes no handles too."""

    class Loop:
        _ready_queue = wrong
        call_soon = _ready.call_soon

    with pytest.raises(TypeError, match="queue"):
        Loop().call_soon(print)
    loop = Loop()
    loop._ready_queue = _ready.ReadyQueue(1)
    loop._ready_queue.is_scheduled = True
    loop._ready_queue.handle_class = lambda *args: wrong
    with pytest.raises(TypeError, match="ReadyHandle"):
        loop.call_soon(print)


@needs_extension
def test_empty_handle() -> None:
    """A handle that was never filled is one that is cancelled."""
    queue, handle = _ready.ReadyQueue(1), _ready.ReadyHandle.__new__(_ready.ReadyHandle)
    assert handle.cancelled()
    assert handle.get_context() is None
    queue.add(handle, 0)
    assert queue.take() is None


def test_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """GOVERNESS_PURE takes the queue in Python; else it is the one in C, if that is built."""
    import importlib.util

    def load() -> Any:
        spec = importlib.util.spec_from_file_location("another_line", _priority.__file__)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.ReadyQueue, module.ReadyHandle, module.call_soon

    monkeypatch.setenv("GOVERNESS_PURE", "1")
    assert load() == (ready.ReadyQueue, ready.ReadyHandle, ready.call_soon)
    monkeypatch.delenv("GOVERNESS_PURE")
    found = ready if _ready is None else _ready
    assert load() == (found.ReadyQueue, found.ReadyHandle, found.call_soon)
    monkeypatch.setitem(sys.modules, "governess.loops._priority._ready", None)
    monkeypatch.delattr("governess.loops._priority._ready", raising=False)
    assert load() == (ready.ReadyQueue, ready.ReadyHandle, ready.call_soon)


def test_debug_in_a_turn(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """What came in a turn before debug mode was turned on in it is not forgotten."""
    loop: Any = prioritized(loop_factory)()
    loop.set_debug(False)
    called: list[int] = []
    loop.call_soon(lambda: (loop.call_soon(called.append, 1), loop.set_debug(True), loop.call_soon(called.append, 2)))
    run_round(loop, 3)
    assert called == [1, 2]
    loop.close()


def test_closed_is_let_go(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A closed loop is no part of a cycle of its queue's."""
    loop: Any = prioritized(loop_factory)()
    run_round(loop)
    loop.close()
    assert not any(loop in gc.get_referents(it) for it in gc.get_referents(loop._ready_queue))
    assert loop not in gc.get_referents(loop._ready_queue)
