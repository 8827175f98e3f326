"""Python code that does its worst to the queue in C: errors at most, and never a crash."""

import textwrap

import pytest

from fresh import run_fresh

pytest.importorskip("governess.loops._priority._ready")

SCENARIOS = {
    "nested as callbacks": """
        handle = None
        for _ in range(300_000):
            handle = ReadyHandle(handle, (), context)
        del handle
    """,
    "nested as arguments": """
        handle = None
        for _ in range(300_000):
            handle = ReadyHandle(print, (handle,), context)
        del handle
    """,
    "nested, in turns, and of a subclass": """
        class Sub(ReadyHandle):
            __slots__ = ("more",)
        handle = None
        for number in range(300_000):
            handle = (ReadyHandle, Sub)[number % 2](handle, (handle,), context)
        del handle
    """,
    "a finalizer inside a nest adds to the queue and makes another nest": """
        class Sub(ReadyHandle):
            def __del__(self):
                ready.add(ReadyHandle(print, (), context), 0)
                nest(200)
        def nest(count):
            handle = None
            for _ in range(count):
                handle = ReadyHandle(handle, (), context)
        handle = None
        for number in range(2_000):
            handle = (Sub if number % 100 == 0 else ReadyHandle)(handle, (), context)
        del handle
        assert len(ready) == 20
    """,
    "a handle that was never made": """
        handle = ReadyHandle.__new__(ReadyHandle)
        assert handle.cancelled() and handle.get_context() is None and handle.callback is None
        ready.add(handle, 0)
        assert ready.take() is None
        handle.cancel()
    """,
    "made twice, queued": """
        class Acts:
            def __del__(self):
                ready.clear()
        handle = ReadyHandle(print, (Acts(),), context)
        ready.add(handle, 0)
        handle.__init__(print, (), context)
        assert len(ready) == 0
    """,
    "the queue is cleared by what it calls": """
        for number in range(100):
            ready.add(ReadyHandle(ready.clear, (), context), number % 40 - 20)
        ready.run(1000, None)
        assert len(ready) == 0 and ready.ran == 1
    """,
    "the queue calls itself": """
        def again(depth):
            if depth:
                ready.add(ReadyHandle(again, (depth - 1,), context), 0)
                ready.add(ReadyHandle(again, (depth - 1,), context), 1)
                ready.run(3, lambda handle, error: errors.append(type(error)))
        ready.add(ReadyHandle(again, (12,), contextvars.copy_context()), 0)
        ready.run(10**6, lambda handle, error: errors.append(type(error)))
        ready.clear()
        assert set(errors) <= {RuntimeError, RecursionError}  # a context cannot be entered twice
    """,
    "cancelled while called": """
        def cancel():
            handle.cancel()
            gc.collect()
        handle = ReadyHandle(cancel, (), context)
        ready.add(handle, 0)
        assert ready.run(1, None) is handle
    """,
    "the loop's attributes are deleted": """
        del ready.handle_class, ready.schedule, ready.report
        ready.add(ReadyHandle(lambda: 1 / 0, (), context), 0)
        raises(TypeError, ready.run_batch)
        class Loop:
            _ready_queue = ready
            call_soon = _ready.call_soon
            def _schedule_batch(self, callback):
                ready.clear()
        raises(SystemError, Loop().call_soon, print)
    """,
    "a queue that is none, and a priority that acts": """
        class Loop:
            _ready_queue = object()
            call_soon = _ready.call_soon
        raises(TypeError, Loop().call_soon, print)
        class Index:
            def __index__(self):
                ready.clear()
                return 5
        handle = ReadyHandle(print, (), context)
        ready.add(handle, Index())
        raises(ValueError, ready.add, handle, 0)
        raises(ValueError, ready.add, ReadyHandle(print, (), context), 2**70)
        raises(TypeError, ready.add, object(), 0)
        raises(TypeError, ready.add, handle, "0")
    """,
    "steps that do not fit": """
        for step in (-1, 2**31, 2**62):
            raises(ValueError, _ready.ReadyQueue, step)
        raises(OverflowError, _ready.ReadyQueue, 2**80)
        raises(TypeError, _ready.ReadyQueue, "1")
    """,
    "a report that raises, interrupts or clears": """
        def report(handle, error):
            ready.clear()
            raise KeyError from error
        for _ in range(3):
            ready.add(ReadyHandle(lambda: 1 / 0, (), context), 0)
        raises(KeyError, ready.run, 3, report)
        ready.add(ReadyHandle(lambda: 1 / 0, (), context), 0)
        raises(TypeError, ready.run, 3, None)
    """,
    "garbage in a cycle with its queue": """
        for _ in range(100):
            queue = _ready.ReadyQueue(1)
            for number in range(20):
                queue.add(ReadyHandle(queue.clear, (queue,), context), number - 20)
            queue.schedule = queue.report = queue.run_batch
            del queue
        gc.collect()
    """,
    "memory that runs out": """
        try:
            import _testcapi
        except ImportError:
            raise SystemExit
        for start in range(60):
            _testcapi.set_nomemory(start, start + 3)
            try:
                ready.add(ReadyHandle(max, (1, 2, 3), context), 0)
                ready.run(1, max)
            except MemoryError:
                pass
            finally:
                _testcapi.remove_mem_hooks()
        ready.clear()
    """,
}

SETUP = """
import contextvars, gc, sys
from governess.loops._priority import _ready
from governess.loops._priority._ready import ReadyHandle

ready, context, errors = _ready.ReadyQueue(1), contextvars.copy_context(), []

def raises(kind, function, *args):
    try:
        function(*args)
    except kind:
        return
    raise AssertionError(f"{function!r} did not raise {kind}")

"""


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_crash(scenario: str) -> None:
    """Whatever callbacks, finalizers, arguments and reports do, the interpreter lives on."""
    run_fresh(SETUP + textwrap.dedent(SCENARIOS[scenario]))
