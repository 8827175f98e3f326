"""ThreadedEventLoopPolicy: each loop lives in a thread of its own, and is used as an ordinary loop."""

import asyncio
import concurrent.futures
import contextvars
import gc
import os
import signal
import socket
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import governess
from fresh import run_fresh
from governess import ThreadedEventLoopPolicy, limited, prioritized
from governess.loops import ThreadedLoop
from governess.loops._threaded import thread as thread_module

pytestmark = pytest.mark.windows

Factory = Callable[[], AbstractEventLoop]


@pytest.fixture
def threaded(loop_factory: Factory) -> Iterator[ThreadedEventLoopPolicy]:
    """A new policy, which is the current one."""
    with ThreadedEventLoopPolicy(loop_factory, threads=2) as policy:
        governess.set_event_loop_policy(policy)
        yield policy


@pytest.fixture
def loop(threaded: ThreadedEventLoopPolicy) -> AbstractEventLoop:
    """A new loop, which nobody has used yet."""
    return threaded.new_event_loop()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new loop waits for ever for somebody who runs it."""
    monkeypatch.setattr(thread_module, "START_DELAY", 1000)


async def where() -> threading.Thread:
    await asyncio.sleep(0)
    return threading.current_thread()


async def run_child() -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
    return await process.wait()


@pytest.mark.usefixtures("patient")
class TestAsAnOrdinaryLoop:
    """What code does that runs the loop itself."""

    def test_class(self, loop: AbstractEventLoop, loop_factory: Any) -> None:
        """The loop is one of the loop factory's class, and stands still at first."""
        assert isinstance(loop, loop_factory)
        assert isinstance(loop, ThreadedLoop)
        assert not loop.is_running()

    def test_own_thread(self, threaded: ThreadedEventLoopPolicy, loop: AbstractEventLoop) -> None:
        """A coroutine runs in the loop's thread, always the same one, and another loop has another one."""
        thread = loop.run_until_complete(where())
        assert thread is not threading.current_thread()
        assert loop.run_until_complete(where()) is thread
        assert threaded.new_event_loop().run_until_complete(where()) is not thread

    def test_result_and_error(self, loop: AbstractEventLoop) -> None:
        """Results and errors come out of run_until_complete; between two runs the loop stands still."""
        assert loop.run_until_complete(asyncio.sleep(0, "result")) == "result"

        async def fail() -> None:
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            loop.run_until_complete(fail())
        assert not loop.is_running()

    def test_exit(self, loop: AbstractEventLoop) -> None:
        """SystemExit comes out too, and the loop can be run again."""
        loop.call_soon(sys.exit, 3)
        with pytest.raises(SystemExit, match="3"):
            loop.run_forever()
        assert loop.run_until_complete(asyncio.sleep(0, "on")) == "on"

    def test_task(self, loop: AbstractEventLoop) -> None:
        """A task made outside runs in the loop's thread, with its name, in a copy of the caller's context."""
        variable = contextvars.ContextVar("variable", default="nothing")
        variable.set("the caller's")

        async def main() -> tuple[str, str]:
            task = asyncio.current_task()
            assert task is not None
            return task.get_name(), variable.get()

        task = loop.create_task(main(), name="named")
        assert loop.run_until_complete(task) == ("named", "the caller's")

    def test_gather(self, loop: AbstractEventLoop) -> None:
        """Tasks made outside can be gathered outside."""
        tasks = [loop.create_task(asyncio.sleep(0, number)) for number in range(100)]

        async def gather() -> list[int]:
            return await asyncio.gather(*tasks)

        assert loop.run_until_complete(gather()) == list(range(100))
        tasks = [loop.create_task(asyncio.sleep(0, number)) for number in range(100)]
        assert loop.run_until_complete(asyncio.gather(*tasks)) == list(range(100))

    def test_stop(self, loop: AbstractEventLoop) -> None:
        """stop ends run_forever: called before, from a callback, or from another thread."""
        loop.stop()
        loop.run_forever()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        stopper = threading.Timer(0.01, loop.stop)
        stopper.start()
        loop.run_forever()
        stopper.join()

    def test_stopped_too_early(self, loop: AbstractEventLoop) -> None:
        """run_until_complete tells when the loop is stopped before the future is done."""
        loop.call_soon(loop.stop)
        future = loop.create_future()
        with pytest.raises(RuntimeError, match="Event loop stopped before Future completed"):
            loop.run_until_complete(future)

    def test_order(self, loop: AbstractEventLoop) -> None:
        """Callbacks handed over outside run in order, and handles can be cancelled."""
        seen: list[int] = []
        handles = [loop.call_soon(seen.append, number) for number in range(5)]
        handles[2].cancel()
        timer = loop.call_later(0, seen.append, 99)
        timer.cancel()
        loop.call_at(loop.time(), loop.stop)
        loop.run_forever()
        assert seen == [0, 1, 3, 4]
        assert timer.cancelled()

    def test_again_at_once(self, loop: AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run that has returned is over: the next one may follow at once, though the thread is slow."""
        after_a_run = thread_module.LoopThread._next

        def slow(self: thread_module.LoopThread) -> Any:
            time.sleep(0.05)
            return after_a_run(self)

        monkeypatch.setattr(thread_module.LoopThread, "_next", slow)
        for number in range(5):
            assert loop.run_until_complete(asyncio.sleep(0, number)) == number

    def test_while_it_runs(self, loop: AbstractEventLoop) -> None:
        """While somebody runs the loop, every other thread can use it, timers and descriptors included."""
        left, right = socket.socketpair()
        seen: dict[str, threading.Thread] = {}
        done = threading.Event()

        def read() -> None:
            left.recv(1)
            loop.remove_reader(left)
            seen["reader"] = threading.current_thread()
            done.set()

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(loop.run_forever)
            future = asyncio.run_coroutine_threadsafe(where(), loop)
            thread = future.result(10)
            loop.call_later(0.001, lambda: seen.update(timer=threading.current_thread()))
            if sys.platform != "win32":  # whose loop has no add_reader
                loop.add_reader(left, read)
                right.send(b"x")
                assert done.wait(10)
            task = loop.create_task(where())
            with pytest.raises(RuntimeError, match="already running"):
                loop.run_until_complete(task)
            with pytest.raises(RuntimeError, match="already running"):
                loop.run_forever()
            with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
                loop.close()
            loop.call_later(0.01, loop.stop)
            running.result(10)
        assert set(seen.values()) == {thread}
        assert task.result() is thread
        left.close()
        right.close()

    def test_runner(self, threaded: ThreadedEventLoopPolicy) -> None:
        """asyncio.Runner works on it: tasks left behind are cancelled, and the loop is closed."""
        ended: list[threading.Thread] = []

        async def stay() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(threading.current_thread())

        async def main() -> threading.Thread:
            for _ in range(50):
                tasks.add(asyncio.create_task(stay()))
            await asyncio.to_thread(lambda: None)
            return await where()

        tasks: set[Any] = set()
        with asyncio.Runner(loop_factory=threaded.loop_factory) as runner:
            thread = runner.run(main())
            assert runner.run(where()) is thread
        assert ended == [thread] * 50
        assert not thread.is_alive()

    def test_governess_run(self, threaded: ThreadedEventLoopPolicy) -> None:
        """governess.run runs in a loop of the policy, which is the current loop meanwhile."""

        async def main() -> bool:
            return asyncio.get_running_loop() is caller[0]

        caller: list[AbstractEventLoop] = []
        set_event_loop = threaded.set_event_loop
        threaded.set_event_loop = lambda loop: (set_event_loop(loop), loop and caller.append(loop))[0]  # type: ignore[method-assign,func-returns-value]
        assert governess.run(main())

    def test_no_signal_handler(self, loop: AbstractEventLoop) -> None:
        """add_signal_handler is refused with the reason, by the class that those who have none raise."""
        with pytest.raises(NotImplementedError, match="Python handles signals in the main thread"):
            loop.add_signal_handler(signal.SIGINT, print)

    def test_children(self, loop: AbstractEventLoop) -> None:
        """Children work."""
        assert loop.run_until_complete(run_child()) == 7

    def test_executor(self, loop: AbstractEventLoop) -> None:
        """run_in_executor can be called outside, before the loop runs."""
        future = loop.run_in_executor(None, lambda: "result")
        assert loop.run_until_complete(future) == "result"
        loop.run_until_complete(loop.shutdown_default_executor())

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks before Python 3.12")
    def test_eager_task_made_outside(self, loop: AbstractEventLoop) -> None:
        """A task made outside never runs outside, however eager its factory is."""

        def factory(loop: Any, coroutine: Any, *, context: Any = None, **_: Any) -> Any:
            return asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)

        loop.set_task_factory(factory)
        task = loop.create_task(where())
        assert loop.run_until_complete(task) is not threading.current_thread()

    @pytest.mark.skipif(sys.platform == "win32", reason="a thread cannot be signalled on Windows")
    def test_keyboard_interrupt(self, loop: AbstractEventLoop) -> None:
        """KeyboardInterrupt where the loop is run stops it, and leaves the task, as in an ordinary loop."""
        main = threading.main_thread().ident
        assert main is not None

        async def interrupt() -> str:
            signal.pthread_kill(main, signal.SIGINT)
            await event.wait()
            return "ended"

        event = asyncio.Event()
        task = loop.create_task(interrupt())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(task)
        assert not loop.is_running()
        loop.call_soon(event.set)
        assert loop.run_until_complete(task) == "ended"

    @pytest.mark.skipif(sys.platform == "win32", reason="a thread cannot be signalled on Windows")
    def test_keyboard_interrupt_in_a_runner(self, threaded: ThreadedEventLoopPolicy) -> None:
        """In asyncio.Runner, KeyboardInterrupt cancels the main task."""
        ended: list[str] = []

        async def main() -> None:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        with pytest.raises(KeyboardInterrupt), asyncio.Runner(loop_factory=threaded.loop_factory) as runner:
            runner.run(main())
        assert ended == ["cancelled"]


class TestByItself:
    """A loop that nobody runs."""

    def test_call_soon(self, loop: AbstractEventLoop) -> None:
        """What is handed to a new loop runs, after a moment, without anybody running the loop."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        loop.call_soon(lambda: future.set_result(threading.current_thread()))
        assert future.result(10) is not threading.current_thread()
        assert loop.is_running()

    @pytest.mark.parametrize("hand", ["task", "timer", "coroutine"])
    def test_everything(self, loop: AbstractEventLoop, hand: str) -> None:
        """So does a task, a timer, or a coroutine of run_coroutine_threadsafe."""
        ran = threading.Event()

        async def run() -> None:
            ran.set()

        if hand == "task":
            task = loop.create_task(run())
        elif hand == "timer":
            loop.call_later(0, ran.set)
        else:
            asyncio.run_coroutine_threadsafe(run(), loop)
        assert ran.wait(10)
        if hand == "task":
            loop.run_until_complete(task)

    def test_start(self, loop: ThreadedLoop) -> None:
        """start begins at once; then many threads can run coroutines to their end, and submit them."""
        loop.start()
        assert loop.runs_continuously
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            sums = pool.map(lambda number: loop.run_until_complete(asyncio.sleep(0.001, number)), range(50))
            assert list(sums) == list(range(50))
        assert loop.submit(asyncio.sleep(0, "result")).result(10) == "result"
        assert loop.is_running()

    def test_run_until_complete(self, loop: ThreadedLoop) -> None:
        """run_until_complete takes tasks and futures too, and raises what they raise."""
        loop.start()
        assert loop.run_until_complete(loop.create_task(where())) is not threading.current_thread()
        future = loop.create_future()
        loop.call_later(0.001, future.set_exception, LookupError("mine"))
        with pytest.raises(LookupError, match="mine"):
            loop.run_until_complete(future)
        cancelled = loop.create_future()
        loop.call_soon(cancelled.cancel)
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(cancelled)

    def test_stop(self, loop: ThreadedLoop) -> None:
        """stop lets those go who wait in run_forever, or the next one; the loop runs on."""
        loop.start()
        loop.run_until_complete(asyncio.sleep(0))
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        assert loop.is_running()

    def test_own_thread(self, loop: ThreadedLoop) -> None:
        """Inside, run_until_complete is the error that it is in an ordinary loop."""
        loop.start()

        async def main() -> None:
            with pytest.raises(RuntimeError, match="already running"):
                loop.run_until_complete(loop.create_future())
            with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
                loop.close()

        loop.run_until_complete(main())

    def test_from_another_loop(self, threaded: ThreadedEventLoopPolicy, loop: AbstractEventLoop) -> None:
        """A coroutine in one loop can run another loop, and wait for that."""
        other = threaded.new_event_loop()

        async def main() -> threading.Thread:
            return other.run_until_complete(where())

        assert loop.run_until_complete(main()) is not loop.run_until_complete(where())

    def test_close(self, threaded: ThreadedEventLoopPolicy, loop: ThreadedLoop) -> None:
        """close stops it, and ends its thread; afterwards it is an ordinary closed loop."""
        thread = loop.run_until_complete(where())
        other = threaded.new_event_loop()
        other.start()
        other_thread = other.run_until_complete(where())
        for closed in loop, other, loop:
            closed.close()
        assert loop.is_closed()
        assert other.is_closed()
        assert not thread.is_alive()
        assert not other_thread.is_alive()
        for use in loop.run_forever, loop.start, lambda: loop.call_soon(print), lambda: loop.call_later(0, print):
            with pytest.raises(RuntimeError, match="Event loop is closed"):
                use()
        main = where()
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            loop.run_until_complete(main)
        main.close()

    def test_policy_close(self, threaded: ThreadedEventLoopPolicy) -> None:
        """The policy closes all its loops: new ones, those that stand still, and those that run, with their tasks."""
        ended = threading.Event()

        async def stay() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        loops = [threaded.new_event_loop() for _ in range(4)]
        loops[1].run_until_complete(asyncio.sleep(0))
        loops[2].start()
        loops[3].start()
        loops[3].create_task(stay())
        loops[3].run_until_complete(asyncio.sleep(0))
        threaded.close()
        assert all(loop.is_closed() for loop in loops)
        assert ended.is_set()

    def test_policy_close_while_run(self, threaded: ThreadedEventLoopPolicy, loop: AbstractEventLoop) -> None:
        """A loop that another thread runs is stopped and closed."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            runs = threading.Event()
            loop.call_soon(runs.set)
            running = pool.submit(loop.run_forever)
            runs.wait()
            threaded.close()
            running.result(10)
        assert loop.is_closed()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_garbage(threaded: ThreadedEventLoopPolicy, loop_name: str) -> None:
    """A loop that stands still and that nobody has any more is garbage, and its thread ends."""
    if loop_name == "uvloop":
        pytest.skip("uvloop's own loops are not collected either, when nobody has closed them")
    loop = threaded.new_event_loop()
    thread = loop.run_until_complete(where())
    del loop
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("make", [lambda c: prioritized(limited(c)), lambda c: limited(prioritized(c))])
def test_over_other_loop_classes(loop_factory: Any, make: Callable[[Any], Any]) -> None:
    """Loops that limit their tasks, or order their callbacks, live in threads too."""
    with ThreadedEventLoopPolicy(make(loop_factory), threads=2) as policy:
        loop = policy.new_event_loop()
        assert loop.run_until_complete(loop.create_task(where())) is not threading.current_thread()
        assert loop.run_until_complete(run_child()) == 7
        assert policy.map(lambda number: asyncio.sleep(0.001, number), range(30)) == list(range(30))


def test_class_that_is_closed_to_change() -> None:
    """A loop whose class cannot be changed is a TypeError, and it is closed."""
    made: list[Any] = []

    class Closed(asyncio.SelectorEventLoop):
        __slots__ = ("_more",)

        def __setattr__(self, name: str, value: object) -> None:
            if name == "__class__":
                raise TypeError("this class is closed to change")
            super().__setattr__(name, value)

    def make() -> AbstractEventLoop:
        made.append(Closed())
        return made[-1]

    with ThreadedEventLoopPolicy(make, threads=1) as policy, pytest.raises(TypeError, match="closed to change"):
        policy.new_event_loop()
    assert made[0].is_closed()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
def test_fork(loop_name: str) -> None:
    """A forked child cannot use its parent's loops, and makes its own."""
    run_fresh(
        f"""
import asyncio, os, governess

policy = governess.ThreadedEventLoopPolicy("{loop_name}", threads=2)
standing, running = policy.new_event_loop(), policy.new_event_loop()
standing.run_until_complete(asyncio.sleep(0))
running.start()
assert policy.map(lambda number: asyncio.sleep(0, number), range(3)) == [0, 1, 2]
pid = os.fork()
if not pid:
    status = 1
    try:
        for loop in standing, running:
            try:
                loop.run_forever()
            except RuntimeError as error:
                assert "forked" in str(error)
        own = policy.new_event_loop()
        assert own.run_until_complete(asyncio.sleep(0, 5)) == 5
        assert policy.map(lambda number: asyncio.sleep(0, number), range(3)) == [0, 1, 2]
        policy.close()
        status = 0
    finally:
        os._exit(status)
assert os.waitpid(pid, 0)[1] == 0
assert standing.run_until_complete(asyncio.sleep(0, 5)) == 5
assert running.run_until_complete(asyncio.sleep(0, 5)) == 5
policy.close()
""",
        "-W",
        "ignore:This process:DeprecationWarning",
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
def test_fork_in_the_middle() -> None:
    """A forked child is told at once, though another thread was just at work on the loop."""
    run_fresh(
        """
import os, threading, governess

loop = governess.ThreadedEventLoopPolicy().new_event_loop()
taken, over = threading.Event(), threading.Event()

def be_at_work():
    with loop._loop_thread._change:
        taken.set()
        over.wait()

thread = threading.Thread(target=be_at_work)
thread.start()
taken.wait()
pid = os.fork()
if not pid:
    try:
        loop.run_forever()
    except RuntimeError as error:
        os._exit(0 if "forked" in str(error) else 1)
assert os.waitpid(pid, 0)[1] == 0
over.set()
thread.join()
loop.close()
""",
        "-W",
        "ignore:This process:DeprecationWarning",
    )


def test_debug_mode(loop_name: str) -> None:
    """In asyncio's debug mode, which checks the thread of every call, nothing complains."""
    run_fresh(
        f"""
import asyncio, logging, governess

# On a busy machine any step can take longer than the 0.1 s that a debugging loop allows.
logging.getLogger("asyncio").addFilter(lambda record: record.msg != "Executing %s took %.3f seconds")
with governess.ThreadedEventLoopPolicy("{loop_name}", threads=2) as policy:
    loop = policy.new_event_loop()
    assert loop.get_debug()
    task = loop.create_task(asyncio.sleep(0, 5))
    loop.call_later(0, print)
    assert loop.run_until_complete(task) == 5
    assert policy.map(lambda number: asyncio.sleep(0, number), range(3)) == [0, 1, 2]
""",
        "-X",
        "dev",
    )
