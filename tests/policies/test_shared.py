"""SharedEventLoopPolicy: one loop for all threads, in a thread of its own."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import gc
import signal
import sys
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import governess
from fresh import run_fresh
from governess import SharedEventLoopPolicy
from governess.loops._threaded.thread import LoopThread
from governess.policies import _closing as closing

pytestmark = pytest.mark.windows

Factory = Callable[[], AbstractEventLoop]


@pytest.fixture
def shared(loop_factory: Factory) -> Iterator[SharedEventLoopPolicy]:
    """A new policy, which is the current one."""
    with SharedEventLoopPolicy(loop_factory) as policy:
        governess.set_event_loop_policy(policy)
        yield policy


async def here() -> tuple[AbstractEventLoop, threading.Thread]:
    return asyncio.get_running_loop(), threading.current_thread()


async def fail() -> None:
    raise LookupError("mine")


class Waiting:
    """A coroutine that waits until it is cancelled, and tells when it has begun and ended."""

    def __init__(self) -> None:
        self.has_begun, self.has_ended = threading.Event(), threading.Event()

    async def __call__(self) -> None:
        try:
            self.has_begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.has_ended.set()


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


class TestLoop:
    def test_class(self, shared: SharedEventLoopPolicy, loop_factory: Any) -> None:
        """The loop is one of the loop factory's, and it runs, in a thread of its own."""
        loop, thread = shared.call(here())
        assert isinstance(loop, loop_factory)
        assert loop.is_running()
        assert thread is not threading.current_thread()

    def test_every_thread(self, shared: SharedEventLoopPolicy, in_thread: Callable[..., Any]) -> None:
        """Every thread gets the same loop, from get_event_loop and by its calls."""
        loop, thread = shared.call(here())
        assert shared.get_event_loop() is loop
        assert in_thread(shared.get_event_loop) is loop
        assert in_thread(lambda: shared.call(here())) == (loop, thread)
        assert in_thread(lambda: shared.submit(here()).result()) == (loop, thread)

    def test_many_threads_at_first(self, shared: SharedEventLoopPolicy) -> None:
        """Where many threads ask at the same time, one loop is made."""
        barrier = threading.Barrier(8)

        def ask(_: int) -> AbstractEventLoop:
            barrier.wait()
            return shared.get_event_loop()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(ask, range(8)))) == 1

    def test_inside_another_loop(self, shared: SharedEventLoopPolicy) -> None:
        """Inside another loop, get_event_loop is that one, and the shared one can be called."""

        async def main() -> None:
            assert shared.get_event_loop() is asyncio.get_running_loop()
            loop, _ = await asyncio.wrap_future(shared.submit(here()))
            assert loop is not asyncio.get_running_loop()
            assert shared.call(here())[0] is loop

        governess.run(main())

    def test_new_loops_are_ordinary(self, shared: SharedEventLoopPolicy) -> None:
        """new_event_loop makes loops beside the shared one, which run where they are run."""
        loop = shared.get_event_loop()
        other = shared.new_event_loop()
        assert other.run_until_complete(here()) == (other, threading.current_thread())
        other.close()
        assert shared.call(here())[0] is loop

    def test_run_beside(self, shared: SharedEventLoopPolicy) -> None:
        """Meanwhile and afterwards, governess.run and asyncio.run leave the shared loop alone."""
        loop = shared.get_event_loop()
        for run in governess.run, asyncio.run:
            assert run(here())[1] is threading.current_thread()
            assert shared.get_event_loop() is loop
        assert shared.call(here())[0] is loop

    def test_asyncio_run_under_the_bridge(self, shared: SharedEventLoopPolicy) -> None:
        """With asyncio's own names leading here, asyncio.run makes and closes an ordinary loop."""
        with governess.installed(shared):
            loop = asyncio.get_event_loop()
            other, thread = asyncio.run(here())
            assert thread is threading.current_thread()
            assert other.is_closed()
            assert asyncio.get_event_loop() is loop
            assert loop.run_until_complete(here())[0] is loop

    def test_own_loop(self, shared: SharedEventLoopPolicy, in_thread: Callable[..., Any]) -> None:
        """A thread that sets a loop has its own, until it sets None; the others do not see it."""
        loop, mine = shared.get_event_loop(), shared.new_event_loop()
        shared.set_event_loop(mine)
        assert shared.get_event_loop() is mine
        assert in_thread(shared.get_event_loop) is loop
        shared.set_event_loop(None)
        assert shared.get_event_loop() is loop

    def test_as_an_ordinary_loop(self, shared: SharedEventLoopPolicy) -> None:
        """What get_event_loop returns can be used as an ordinary loop, from any thread at the same time."""

        def use(number: int) -> int:
            loop = shared.get_event_loop()
            task = loop.create_task(asyncio.sleep(0.01, number))
            return int(loop.run_until_complete(task))

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(use, range(20))) == list(range(20))


class TestCall:
    def test_result(self, shared: SharedEventLoopPolicy) -> None:
        """The result of the coroutine is returned."""
        assert shared.call(asyncio.sleep(0, "result")) == "result"

    def test_error(self, shared: SharedEventLoopPolicy) -> None:
        """What the coroutine raises comes out, and the loop goes on."""
        with pytest.raises(LookupError, match="mine"):
            shared.call(fail())
        assert shared.call(asyncio.sleep(0, "result")) == "result"

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
    def test_exit(self, shared: SharedEventLoopPolicy, kind: type[BaseException], caplog: Any) -> None:
        """SystemExit and KeyboardInterrupt come out where the call is, and nowhere else; the loop goes on."""

        async def leave() -> None:
            raise kind(3)

        loop = shared.get_event_loop()
        with pytest.raises(kind, match="3"):
            shared.call(leave())
        assert shared.call(here())[0] is loop
        assert not caplog.records

    def test_exit_in_a_callback(self, shared: SharedEventLoopPolicy) -> None:
        """SystemExit in a callback, which nobody waits for, is told to the exception handler; the loop goes on."""
        told: list[Any] = []
        loop = shared.get_event_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
        loop.call_soon_threadsafe(sys.exit, 3)
        assert shared.call(here())[0] is loop
        assert shared.call(here())[0] is loop
        assert [error.code for error in told] == [3]

    def test_cancelled(self, shared: SharedEventLoopPolicy) -> None:
        """A coroutine that is cancelled is a CancelledError, as with asyncio.run."""

        async def cancel_itself() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        with pytest.raises(asyncio.CancelledError):
            shared.call(cancel_itself())

    def test_own_thread(self, shared: SharedEventLoopPolicy) -> None:
        """From the loop's own thread it is a RuntimeError, and the coroutine is closed."""

        async def main() -> None:
            with pytest.raises(RuntimeError, match="would wait for itself for ever: await the coroutine instead"):
                shared.call(asyncio.sleep(0))

        shared.call(main())

    def test_no_coroutine(self, shared: SharedEventLoopPolicy) -> None:
        """What is no coroutine is a TypeError."""
        for wrong in (5, asyncio.sleep):
            with pytest.raises(TypeError, match="a coroutine is required, not "):
                shared.call(wrong)  # type: ignore[arg-type]

    def test_context(self, shared: SharedEventLoopPolicy) -> None:
        """The coroutine runs in a copy of the caller's context."""
        variable = contextvars.ContextVar("variable", default="nothing")

        async def main() -> str:
            before = variable.get()
            variable.set("the coroutine's")
            return before

        variable.set("the caller's")
        assert shared.call(main()) == "the caller's"
        assert variable.get() == "the caller's"

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks before Python 3.12")
    def test_eager_tasks(self, shared: SharedEventLoopPolicy) -> None:
        """With an eager task factory, the coroutine starts in the loop's thread all the same."""

        def factory(loop: Any, coroutine: Any, *, context: Any = None, **_: Any) -> Any:
            return asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)

        loop, thread = shared.call(here())
        loop.set_task_factory(factory)
        assert shared.call(here()) == (loop, thread)
        assert loop.run_until_complete(loop.create_task(here())) == (loop, thread)

    def test_task_factory_that_raises(self, shared: SharedEventLoopPolicy) -> None:
        """What a task factory raises comes out."""

        def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
            raise LookupError("no task")

        shared.get_event_loop().set_task_factory(factory)
        with pytest.raises(LookupError, match="no task"):
            shared.call(here())
        shared.get_event_loop().set_task_factory(None)

    @pytest.mark.skipif(sys.platform == "win32", reason="a thread cannot be signalled on Windows")
    def test_keyboard_interrupt(self, shared: SharedEventLoopPolicy, waiting: Waiting) -> None:
        """KeyboardInterrupt in the caller cancels the coroutine, which has ended when the interrupt comes out."""
        main = threading.main_thread()

        async def interrupt() -> None:
            task = asyncio.create_task(waiting())
            await asyncio.to_thread(waiting.has_begun.wait)
            signal.pthread_kill(main.ident, signal.SIGINT)  # type: ignore[arg-type]
            await task

        with pytest.raises(KeyboardInterrupt):
            shared.call(interrupt())
        assert waiting.has_ended.is_set()
        assert shared.call(asyncio.sleep(0, "on")) == "on"

    @pytest.mark.skipif(sys.platform == "win32", reason="a thread cannot be signalled on Windows")
    def test_cleanup_that_does_not_end(self, shared: SharedEventLoopPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
        """An interrupted caller waits a few seconds for the coroutine's end, and no longer."""
        monkeypatch.setattr("governess.loops._threaded.calls.JOIN_TIMEOUT", 0.05)
        has_ended, may_end = threading.Event(), threading.Event()

        async def stay() -> None:
            loop = asyncio.get_running_loop()
            loop.call_soon(signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.to_thread(may_end.wait)
                has_ended.set()

        with pytest.raises(KeyboardInterrupt):
            shared.call(stay())
        assert not has_ended.is_set()
        may_end.set()
        assert has_ended.wait(10)


class TestSubmit:
    def test_future(self, shared: SharedEventLoopPolicy) -> None:
        """The future has the result, and calls its callbacks."""
        future = shared.submit(asyncio.sleep(0.01, "result"))
        assert isinstance(future, concurrent.futures.Future)
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert future.result(10) == "result"
        assert done.wait(10)

    def test_error(self, shared: SharedEventLoopPolicy) -> None:
        """The future has the error."""
        error = shared.submit(fail()).exception(10)
        assert isinstance(error, LookupError)

    def test_cancel(self, shared: SharedEventLoopPolicy, waiting: Waiting) -> None:
        """To cancel the future, once or twice, cancels the coroutine."""
        future = shared.submit(waiting())
        waiting.has_begun.wait()
        assert future.cancel()
        assert future.cancel()
        assert waiting.has_ended.wait(10)
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()
        assert concurrent.futures.wait([future], 10).done == {future}

    def test_cancel_before_the_start(self, shared: SharedEventLoopPolicy) -> None:
        """A future that is cancelled before the coroutine has started never starts it."""
        started: list[int] = []

        async def start() -> None:
            started.append(1)

        async def main() -> None:
            assert shared.submit(start()).cancel()

        shared.call(main())
        shared.call(asyncio.sleep(0))
        assert not started

    def test_cancel_at_the_end(self, shared: SharedEventLoopPolicy) -> None:
        """A future that is done cannot be cancelled."""
        future = shared.submit(asyncio.sleep(0))
        future.result(10)
        assert not future.cancel()
        assert not future.cancelled()

    def test_own_thread(self, shared: SharedEventLoopPolicy) -> None:
        """In the loop's own thread one can submit, and wait by asyncio.wrap_future, but not for the future itself."""

        async def main() -> str:
            future = shared.submit(asyncio.sleep(0, "result"))
            for wait in future.result, future.exception:
                with pytest.raises(RuntimeError, match="would wait for itself for ever"):
                    wait()
            await asyncio.wrap_future(future)
            return future.result()

        assert shared.call(main()) == "result"

    def test_many(self, shared: SharedEventLoopPolicy) -> None:
        """A thousand coroutines from eight threads all come to their end."""

        def work(number: int) -> int:
            futures = [shared.submit(asyncio.sleep(0, number)) for _ in range(125)]
            return sum(future.result(30) for future in futures)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [125 * number for number in range(8)]


class Failure(Exception):
    """What the calls below raise; unlike built-in exceptions, it can be weakly referenced."""


async def raise_failure() -> None:
    raise Failure


def refuse_task(*_: object, **__: object) -> Any:
    raise Failure


def make_refused_task(policy: SharedEventLoopPolicy) -> None:
    """Have the loop's thread call a function that raises."""
    loop = policy.get_event_loop()
    loop.set_task_factory(refuse_task)
    coroutine = raise_failure()
    try:
        loop.create_task(coroutine)
    finally:
        coroutine.close()
        loop.set_task_factory(None)


@pytest.mark.parametrize(
    "call",
    [
        lambda policy: policy.call(raise_failure()),
        lambda policy: policy.submit(raise_failure()).result(),
        lambda policy: policy.get_event_loop().run_until_complete(raise_failure()),
        make_refused_task,
    ],
    ids=["call", "submit", "run_until_complete", "create_task"],
)
def test_no_reference_cycle(shared: SharedEventLoopPolicy, call: Callable[[SharedEventLoopPolicy], object]) -> None:
    """An error that a call raises is freed as soon as its caller has handled it, without the garbage collector."""
    shared.call(here())
    gc.collect()
    gc.disable()
    try:
        try:
            call(shared)
        except Failure as failure:
            left = weakref.ref(failure)
        shared.call(here())  # until the loop's thread is done with the call before
        assert left() is None
    finally:
        gc.enable()


class TestClose:
    def test_close(self, shared: SharedEventLoopPolicy) -> None:
        """The loop is closed and its thread ends; it can be done twice, and before there is a loop."""
        shared.close()
        loop, thread = shared.call(here())
        shared.close()
        assert loop.is_closed()
        assert not thread.is_alive()
        shared.close()

    def test_use_after_close(self, shared: SharedEventLoopPolicy) -> None:
        """A closed policy begins a new loop when it is asked again."""
        loop, _ = shared.call(here())
        shared.close()
        assert shared.call(here())[0] is not loop

    def test_while_in_use(self, shared: SharedEventLoopPolicy, waiting: Waiting) -> None:
        """Coroutines that still run are cancelled, and who waits for them is told so."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            called = pool.submit(lambda: shared.call(waiting()))
            submitted = shared.submit(asyncio.sleep(100))
            waiting.has_begun.wait()
            shared.close()
            assert waiting.has_ended.is_set()
            assert isinstance(called.exception(10), asyncio.CancelledError)
        with pytest.raises(concurrent.futures.CancelledError):
            submitted.result(10)

    def test_inside(self, shared: SharedEventLoopPolicy) -> None:
        """Inside its own loop the policy cannot be closed: a RuntimeError, and all goes on."""

        async def main() -> None:
            with pytest.raises(RuntimeError, match="from inside its own loop"):
                shared.close()

        shared.call(main())
        assert shared.call(asyncio.sleep(0, "on")) == "on"

    def test_many_threads(self, shared: SharedEventLoopPolicy) -> None:
        """Several threads may close it at the same time."""
        loop = shared.get_event_loop()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: shared.close(), range(4)))
        assert loop.is_closed()

    def test_what_runs_until_complete(
        self, shared: SharedEventLoopPolicy, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who waits in run_until_complete or run_forever is let go."""
        loop = shared.get_event_loop()
        is_about_to_wait, wait = threading.Event(), LoopThread.wait_for_stop
        monkeypatch.setattr(LoopThread, "wait_for_stop", lambda host: (is_about_to_wait.set(), wait(host)))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            running = pool.submit(loop.run_forever)
            completing = pool.submit(lambda: loop.run_until_complete(waiting()))
            is_about_to_wait.wait()
            waiting.has_begun.wait()
            shared.close()
            assert running.result(10) is None
            assert isinstance(completing.exception(10), asyncio.CancelledError)

    def test_task_that_does_not_end(
        self, shared: SharedEventLoopPolicy, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        """A task that refuses to be cancelled does not keep the loop open; who waits for it is told."""
        monkeypatch.setattr(closing, "JOIN_TIMEOUT", 0.1)
        has_begun = threading.Event()

        async def stay() -> None:
            has_begun.set()
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

        loop = shared.get_event_loop()
        future = shared.submit(stay())
        has_begun.wait()
        shared.close()
        assert loop.is_closed()
        with pytest.raises(RuntimeError, match="was closed before the coroutine had come to its end"):
            future.result(10)

    def test_callback_that_does_not_return(
        self, shared: SharedEventLoopPolicy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A callback that does not return is a RuntimeError after a few seconds; later, the policy can be closed."""
        monkeypatch.setattr(closing, "JOIN_TIMEOUT", 0.05)
        monkeypatch.setattr("governess.loops._threaded.thread.JOIN_TIMEOUT", 0.05)
        inside, over = threading.Event(), threading.Event()

        def block() -> None:
            inside.set()
            over.wait()

        loop = shared.get_event_loop()
        loop.call_soon(block)
        inside.wait()
        with pytest.raises(RuntimeError, match="has not stopped within"):
            shared.close()
        over.set()
        monkeypatch.undo()
        shared.close()
        assert loop.is_closed()

    def test_generators_and_executor(self, shared: SharedEventLoopPolicy) -> None:
        """Async generators and the loop's executor are ended too."""
        ended: list[str] = []

        async def generate() -> Any:
            try:
                yield 1
            finally:
                ended.append("generator")

        async def main() -> None:
            generators.append(generate())
            await anext(generators[0])
            await asyncio.to_thread(ended.append, "executor")

        generators: list[Any] = []
        shared.call(main())
        shared.close()
        assert ended == ["executor", "generator"]


def test_at_exit(loop_name: str) -> None:
    """At the end of the program an open shared loop is closed: its coroutines are cancelled, and nothing complains."""
    said = run_fresh(
        f"""
import asyncio, governess

async def wait():
    try:
        await asyncio.Event().wait()
    finally:
        print("ended")

policy = governess.SharedEventLoopPolicy(loop_factory="{loop_name}")
policy.submit(wait())
policy.call(asyncio.sleep(0.01))
"""
    )
    assert said == "ended\n"


def test_debug_mode(loop_name: str) -> None:
    """In asyncio's debug mode, which checks the thread of every call, nothing complains."""
    run_fresh(
        f"""
import asyncio, sys, governess

async def child():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
    return await process.wait()

with governess.SharedEventLoopPolicy(loop_factory="{loop_name}") as policy:
    loop = policy.get_event_loop()
    loop.slow_callback_duration = 60.0  # on a busy machine, the start of a child can take longer than the 0.1 s allowed
    assert policy.call(asyncio.sleep(0, 5)) == 5
    assert policy.call(child()) == 7
    assert loop.get_debug()
    loop.call_soon(print, "soon")
    loop.call_later(0, print, "later")
    policy.call(asyncio.sleep(0.01))
""",
        "-X",
        "dev",
    )
