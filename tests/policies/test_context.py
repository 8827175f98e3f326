"""ContextEventLoopPolicy: the current loop belongs to the context, not to the thread."""

import asyncio
import contextvars
import gc
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import governess
from fresh import run_fresh
from governess import ContextEventLoopPolicy

pytestmark = pytest.mark.windows

Factory = Callable[[], AbstractEventLoop]


@pytest.fixture
def policy(loop_factory: Factory) -> Iterator[ContextEventLoopPolicy]:
    """A new policy, which is the current one."""
    with ContextEventLoopPolicy(loop_factory) as policy:
        governess.set_event_loop_policy(policy)
        yield policy


@pytest.fixture
def loops(policy: ContextEventLoopPolicy) -> list[AbstractEventLoop]:
    return [policy.new_event_loop(), policy.new_event_loop()]


def test_contexts_are_apart(policy: ContextEventLoopPolicy, loops: list[AbstractEventLoop]) -> None:
    """Two contexts of one thread have each its own loop, which only what runs in it sees."""
    contexts = [contextvars.copy_context() for _ in loops]
    for context, loop in zip(contexts, loops, strict=True):
        context.run(policy.set_event_loop, loop)
    for context, loop in zip(contexts, loops, strict=True):
        assert context.run(policy.get_event_loop) is loop
        assert context.run(governess.get_event_loop) is loop
    with pytest.warns(DeprecationWarning, match="no current event loop"):
        assert policy.get_event_loop() not in loops


def test_inherited(policy: ContextEventLoopPolicy, loops: list[AbstractEventLoop]) -> None:
    """A copy of a context begins with its loop, in another thread too, and changes it for itself alone."""
    policy.set_event_loop(loops[0])
    copy = contextvars.copy_context()
    found: list[AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: found.append(copy.run(policy.get_event_loop)))
    thread.start()
    thread.join()
    assert found == [loops[0]]
    copy.run(policy.set_event_loop, loops[1])
    assert copy.run(policy.get_event_loop) is loops[1]
    assert policy.get_event_loop() is loops[0]
    policy.set_event_loop(None)


def test_in_threads_of_a_loop(policy: ContextEventLoopPolicy) -> None:
    """What asyncio.to_thread calls has the loop of the task that calls it."""

    async def main() -> bool:
        return await asyncio.to_thread(policy.get_event_loop) is asyncio.get_running_loop()

    assert governess.run(main())


def test_empty_context(policy: ContextEventLoopPolicy, in_thread: Callable[..., Any]) -> None:
    """A new thread's empty context has no loop, and none is made there."""
    with pytest.raises(RuntimeError, match="no current event loop in this context of thread 'other_0'"):
        in_thread(lambda: contextvars.Context().run(policy.get_event_loop))


def test_none(policy: ContextEventLoopPolicy, loops: list[AbstractEventLoop]) -> None:
    """To set None takes the loop away, and none is made afterwards."""
    policy.set_event_loop(loops[0])
    policy.set_event_loop(None)
    with pytest.raises(RuntimeError, match="no current event loop"):
        policy.get_event_loop()


def test_running_loop(policy: ContextEventLoopPolicy, loops: list[AbstractEventLoop]) -> None:
    """Inside a running loop it is that one, whatever the context says."""
    policy.set_event_loop(loops[0])

    async def main() -> AbstractEventLoop:
        return policy.get_event_loop()

    assert loops[1].run_until_complete(main()) is loops[1]
    policy.set_event_loop(None)


def test_run(policy: ContextEventLoopPolicy, loop_factory: Any) -> None:
    """governess.run and, under the bridge, asyncio.run leave no current loop behind."""

    async def main() -> AbstractEventLoop:
        return asyncio.get_running_loop()

    assert isinstance(governess.run(main()), loop_factory)
    with governess.installed(policy):
        assert isinstance(asyncio.run(main()), loop_factory)
    with pytest.raises(RuntimeError, match="no current event loop"):
        policy.get_event_loop()


def test_children(policy: ContextEventLoopPolicy) -> None:
    """Children work."""

    async def main() -> int:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
        return await process.wait()

    assert governess.run(main()) == 7


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
def test_fork() -> None:
    """A forked child sees no loop of its parent's."""
    run_fresh(
        """
import os, governess

policy = governess.ContextEventLoopPolicy()
loop = policy.new_event_loop()
policy.set_event_loop(loop)
pid = os.fork()
if not pid:
    try:
        policy.get_event_loop()
    except DeprecationWarning as error:
        os._exit(7 if "no current event loop" in str(error) else 1)
    os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert policy.get_event_loop() is loop
policy.close()
"""
    )


def loops_left(loop_class: type) -> int:
    gc.collect()
    return sum(isinstance(each, loop_class) for each in gc.get_objects())


def test_closed_loops_are_let_go(loop_factory: type[AbstractEventLoop]) -> None:
    """No context keeps a loop that is closed, by itself or with its policy."""

    class Loop(loop_factory):  # type: ignore[misc, valid-type]
        pass

    for _ in range(5):
        with ContextEventLoopPolicy(Loop) as policy:
            policy.set_event_loop(policy.new_event_loop())
    assert loops_left(Loop) == 0
    with ContextEventLoopPolicy(Loop) as policy:
        loop = policy.new_event_loop()
        policy.set_event_loop(loop)
        loop.close()
        if not hasattr(loop, "call_on_close"):
            pytest.skip("a proactor loop tells nobody of its close: it is kept until the policy is closed")
        assert policy.get_event_loop() is loop  # as in asyncio, for who has it
        del loop
        assert loops_left(Loop) == 0
        with pytest.raises(RuntimeError, match="no current event loop"):
            policy.get_event_loop()


def test_open_loops_are_kept(loop_factory: type[AbstractEventLoop], policy: ContextEventLoopPolicy) -> None:
    """A context keeps its loop while that is open, also one of another maker, and after it was set a second time."""
    policy.set_event_loop(policy.new_event_loop())
    gc.collect()
    assert not policy.get_event_loop().is_closed()
    other = loop_factory()
    for _ in range(2):
        policy.set_event_loop(other)
        assert policy.get_event_loop() is other
    other.close()
