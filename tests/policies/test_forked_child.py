"""A forked child sees no loop of its parent's, and can run its own."""

import sys

import pytest

from fresh import run_fresh

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")

PREPARE = """
import asyncio, multiprocessing, os, sys, threading
import governess
from loop_classes import LOOPS

def in_child(function):
    pid = os.fork()
    if not pid:
        try:
            function()
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

async def child_of(loop):
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    return await process.wait()

policy = governess.DefaultEventLoopPolicy(LOOPS[{loop!r}])
governess.set_event_loop_policy(policy)
"""

# Threads that spawn, and a fork beside them, are what these tests are about.
QUIET = ("-W", "ignore:This process:DeprecationWarning")


def run(script: str, loop_name: str) -> None:
    path = f"import sys; sys.path.insert(0, {__file__.rsplit('policies', 1)[0]!r})"
    run_fresh(path + PREPARE.format(loop=loop_name) + script, *QUIET)


def test_no_current_loop(loop_name: str) -> None:
    """Where the parent has a current loop, the child has none: it is as if none was ever set."""
    run(
        """
loop = policy.new_event_loop()
policy.set_event_loop(loop)

def look():
    try:
        governess.get_event_loop()
    except DeprecationWarning as error:
        assert "no current event loop" in str(error)
    else:
        raise AssertionError("the child sees a loop")

in_child(look)
assert policy.get_event_loop() is loop
policy.close()
""",
        loop_name,
    )


@pytest.mark.parametrize("end", ["os._exit", "sys.exit"])
def test_parents_loop_survives(loop_name: str, end: str) -> None:
    """A child that forgets its parent's loop, and ends, leaves that as it is: another thread can still wake it."""
    run(
        f"""
import gc

policy.set_event_loop(policy.new_event_loop())
pid = os.fork()
if not pid:
    policy.set_event_loop(None)
    gc.collect()
    {end}(0)
assert os.waitpid(pid, 0)[1] == 0
loop = policy.get_event_loop()
thread = threading.Thread(target=loop.call_soon_threadsafe, args=(loop.stop,))
loop.call_later(0.05, thread.start)
too_late = loop.call_later(10, os._exit, 1)
loop.run_forever()
too_late.cancel()
thread.join()
policy.close()
""",
        loop_name,
    )


def test_no_running_loop(loop_name: str) -> None:
    """A child that is forked inside a running loop sees neither that nor the current one."""
    run(
        """
def look():
    policy.set_event_loop(None)
    for get_event_loop in governess.get_event_loop, policy.get_event_loop:
        try:
            get_event_loop()
        except RuntimeError as error:
            assert "no current event loop" in str(error)
        else:
            raise AssertionError("the child sees a loop")

async def main():
    in_child(look)

governess.run(main())
""",
        loop_name,
    )


def test_fork_in_another_thread(loop_name: str) -> None:
    """The thread that forks is the main thread of the child, so it gets a loop made."""
    run(
        """
def look():
    try:
        policy.get_event_loop()
    except DeprecationWarning:
        return
    raise AssertionError("the child sees a loop")

def work():
    policy.set_event_loop(policy.new_event_loop())
    in_child(look)

thread = threading.Thread(target=work)
thread.start()
thread.join()
policy.close()
""",
        loop_name,
    )


def test_children_of_the_child(loop_name: str) -> None:
    """The child, forked after its parent has run children, runs its own, and so does the parent afterwards."""
    run(
        """
def work():
    assert governess.run(child_of(None)) == 7

work()
in_child(work)
work()
policy.close()
""",
        loop_name,
    )


def test_children_of_a_child_forked_in_a_loop(loop_name: str) -> None:
    """A child that is forked while its parent's loop runs, with children in it, runs its own."""
    run(
        """
async def main():
    process = await asyncio.create_subprocess_exec("cat", stdin=-1)
    in_child(lambda: work(policy))
    in_child(lambda: work(governess.DefaultEventLoopPolicy()))
    process.stdin.close()
    assert await process.wait() == 0
    assert await child_of(None) == 7

def work(policy):
    governess.set_event_loop_policy(policy)
    loop = policy.new_event_loop()
    assert loop.run_until_complete(child_of(loop)) == 7
    loop.close()

governess.run(main())
policy.close()
""",
        loop_name,
    )


def test_close_in_the_child(loop_name: str) -> None:
    """policy.close() in the child closes the child's loops, and leaves alone those of the parent, which go on."""
    run(
        """
waiting = threading.Event()
loop, idle = policy.new_event_loop(), policy.new_event_loop()
loop.call_soon(waiting.set)
thread = threading.Thread(target=loop.run_forever)
thread.start()
waiting.wait()

def close():
    own = policy.new_event_loop()
    policy.close()
    assert own.is_closed()
    assert not idle.is_closed()

in_child(close)
assert idle.run_until_complete(asyncio.to_thread(lambda: "ran")) == "ran"
assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "ran"), loop).result(10) == "ran"
policy.close()
thread.join()
assert loop.is_closed() and idle.is_closed()
""",
        loop_name,
    )


def test_multiprocessing(loop_name: str) -> None:
    """A process of multiprocessing, started by fork while the parent's loop runs, runs its own loop and children."""
    run(
        """
def work(results):
    results.put(governess.run(child_of(None)))

async def main():
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=work, args=(results,))
    process.start()
    assert await asyncio.to_thread(results.get) == 7
    process.join()
    assert process.exitcode == 0

governess.run(main())
policy.close()
""",
        loop_name,
    )
