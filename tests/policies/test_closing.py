"""policy.close() and `with policy:` close what the policy has made, wherever it runs."""

import asyncio
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from governess import DefaultEventLoopPolicy, ThreadedEventLoopPolicy
from governess.loops._threaded import loop as loop_module
from governess.loops._threaded import thread as thread_module
from governess.policies import _closing as closing

pytestmark = pytest.mark.windows


@contextmanager
def running_elsewhere(loop: AbstractEventLoop) -> Iterator[threading.Thread]:
    """The loop, running in another thread; it must be stopped inside the block."""
    runs = threading.Event()
    loop.call_soon(runs.set)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runs.wait()
    yield thread
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def blocked(policy: DefaultEventLoopPolicy) -> Iterator[AbstractEventLoop]:
    """A loop that runs in another thread, in a callback that does not return before the test is over."""
    inside, over = threading.Event(), threading.Event()

    def block() -> None:
        inside.set()
        over.wait()

    loop = policy.new_event_loop()
    with running_elsewhere(loop):
        loop.call_soon_threadsafe(block)
        inside.wait()
        yield loop
        over.set()
        policy.close()


def test_open_loops(policy: DefaultEventLoopPolicy) -> None:
    """Every loop that is still open is closed, those that were closed before stay so, and it can be done twice."""
    loops = [policy.new_event_loop() for _ in range(3)]
    loops[0].close()
    policy.set_event_loop(loops[1])
    policy.close()
    assert all(loop.is_closed() for loop in loops)
    policy.close()


def test_with(loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """`with policy:` gives the policy, and closes it at the end."""
    policy = DefaultEventLoopPolicy(loop_factory)
    with policy as given:
        loop = policy.new_event_loop()
    assert given is policy
    assert loop.is_closed()


def test_with_error(policy: DefaultEventLoopPolicy) -> None:
    """An error inside `with policy:` closes it too, and comes through."""
    loop = policy.new_event_loop()
    with pytest.raises(LookupError, match="mine"), policy:
        raise LookupError("mine")
    assert loop.is_closed()


def test_strangers(policy: DefaultEventLoopPolicy, loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """A loop that somebody else has made stays open, also where it is the current one."""
    loop = loop_factory()
    policy.set_event_loop(loop)
    policy.close()
    assert not loop.is_closed()
    loop.close()


def test_use_after_close(policy: DefaultEventLoopPolicy) -> None:
    """A closed policy can make loops again."""
    policy.close()
    loop = policy.new_event_loop()
    assert loop.run_until_complete(asyncio.sleep(0, "ran")) == "ran"


def test_run_forever_elsewhere(policy: DefaultEventLoopPolicy) -> None:
    """A loop that runs for ever in another thread is stopped and closed; its thread goes on."""
    loop = policy.new_event_loop()
    with running_elsewhere(loop):
        policy.close()
        assert loop.is_closed()
        assert not loop.is_running()


def test_many_elsewhere(policy: DefaultEventLoopPolicy) -> None:
    """Loops of several threads are all closed by one call."""
    first, second = policy.new_event_loop(), policy.new_event_loop()
    with running_elsewhere(first), running_elsewhere(second):
        policy.close()
    assert first.is_closed()
    assert second.is_closed()


def test_runner_elsewhere(policy: DefaultEventLoopPolicy) -> None:
    """A loop whose Runner starts it again, to clean up, is closed all the same."""
    runs = threading.Event()
    ends: list[BaseException] = []

    async def main() -> None:
        runs.set()
        await asyncio.Event().wait()

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=policy.new_event_loop) as runner:
                loops.append(runner.get_loop())
                runner.run(main())
        except Exception as error:
            ends.append(error)

    loops: list[AbstractEventLoop] = []
    thread = threading.Thread(target=work)
    thread.start()
    runs.wait()
    policy.close()
    thread.join(10)
    assert loops[0].is_closed()
    assert len(ends) == 1


def test_started_again(policy: DefaultEventLoopPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop cannot be started between the stop and the close, and it can be closed twice."""
    loop = policy.new_event_loop()
    wait_until_stopped = closing._wait_until_stopped
    refusals: list[str] = []

    def start_again(loop: AbstractEventLoop, deadline: float) -> None:
        wait_until_stopped(loop, deadline)
        with pytest.raises(RuntimeError) as caught:
            loop.run_forever()
        refusals.append(str(caught.value))
        loop.close()

    monkeypatch.setattr(closing, "_wait_until_stopped", start_again)
    policy.close()
    assert loop.is_closed()
    assert len(refusals) == 1
    assert "is being closed by its policy" in refusals[0]


def test_inside_its_own_loop(policy: DefaultEventLoopPolicy) -> None:
    """Inside one of its loops it is a RuntimeError, and no loop is stopped or closed."""
    loop, other = policy.new_event_loop(), policy.new_event_loop()

    async def main() -> str:
        with pytest.raises(RuntimeError, match="a policy cannot be closed from inside its own loop"):
            policy.close()
        return await asyncio.sleep(0, "goes on")

    assert loop.run_until_complete(main()) == "goes on"
    assert not loop.is_closed()
    assert not other.is_closed()


def test_inside_a_strangers_loop(policy: DefaultEventLoopPolicy) -> None:
    """Inside a loop of another policy it works."""
    loop = policy.new_event_loop()

    async def main() -> None:
        policy.close()

    with DefaultEventLoopPolicy() as other:
        other.new_event_loop().run_until_complete(main())
    assert loop.is_closed()


def test_does_not_stop(
    policy: DefaultEventLoopPolicy, blocked: AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that does not stop in time is a RuntimeError that names it; all others are closed."""
    before = policy.new_event_loop()
    after = policy.new_event_loop()
    monkeypatch.setattr(closing, "JOIN_TIMEOUT", 0.05)
    with pytest.raises(RuntimeError, match=r"runs in another thread and has not stopped within 0\.05 s"):
        policy.close()
    assert not blocked.is_closed()
    assert before.is_closed()
    assert after.is_closed()


def test_one_patience_for_all(
    policy: DefaultEventLoopPolicy, blocked: AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that does stop is closed although the time is spent on another that does not."""
    monkeypatch.setattr(closing, "JOIN_TIMEOUT", 0.05)
    loops = [policy.new_event_loop() for _ in range(3)]
    with running_elsewhere(loops[0]), running_elsewhere(loops[1]), running_elsewhere(loops[2]):
        with pytest.raises(RuntimeError, match="has not stopped"):
            policy.close()
        assert all(loop.is_closed() for loop in loops)


def test_one_deadline(loop_factory: Callable[[], AbstractEventLoop], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many loops are blocked, close() takes the one time-out, and closes the others."""
    for module in (closing, thread_module, loop_module):
        monkeypatch.setattr(module, "JOIN_TIMEOUT", 1.0)
    release = threading.Event()
    policy = ThreadedEventLoopPolicy(loop_factory, threads=5)
    loops = policy._loops_for_map()
    blocked = loops[1:]
    for loop in blocked:
        loop.call_soon_threadsafe(release.wait, 30)
    began = time.monotonic()
    try:
        with pytest.raises(RuntimeError, match="has not stopped within 1 s"):
            policy.close()
        took = time.monotonic() - began
        assert loops[0].is_closed()
    finally:
        release.set()
        policy.close()
    assert all(loop.is_closed() for loop in loops)
    assert 0.8 < took < 2
