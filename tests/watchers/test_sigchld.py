"""The watchers that work through SIGCHLD do so at once, and notice when it comes too late."""

import pytest

from fresh import run_fresh

WATCHERS = ["FastChildWatcher", "MultiLoopChildWatcher", "SafeChildWatcher"]

SCRIPT = """
    import asyncio, signal, threading, time
    import governess
    from governess.watchers import _sweep


    async def exits(times):
        for _ in range(times):
            process = await asyncio.create_subprocess_exec("sleep", "0.05")  # the loop sleeps as well by then
            began = time.monotonic()
            assert await asyncio.wait_for(process.wait(), 10) == 0
            yield time.monotonic() - began


    async def main(times):
        return [it async for it in exits(times)]


    def measure(times):
        watcher = governess.{watcher}()
        policy = governess.DefaultEventLoopPolicy(asyncio.SelectorEventLoop, watcher=watcher)
        with policy, asyncio.Runner(loop_factory=policy.loop_factory) as runner:
            watcher.attach_loop(runner.get_loop())
            waits = runner.run(main(times))
        watcher.close()
        return waits
"""


@pytest.mark.parametrize("watcher", WATCHERS)
def test_signal_wakes_the_loop(watcher: str) -> None:
    """The exit is seen by the signal, and not only by the slow search that goes with it."""
    # In a process of its own: in this one the kernel may have come to prefer another thread for SIGCHLD.
    run_fresh(
        SCRIPT.format(watcher=watcher)
        + """
    _sweep.SLOW = 1000.0
    measure(3)
    """
    )


@pytest.mark.parametrize("watcher", WATCHERS)
def test_signal_goes_to_another_thread(watcher: str) -> None:
    """Where the signal does not wake the loop, the search that goes with it is soon a brisk one."""
    run_fresh(
        SCRIPT.format(watcher=watcher)
        + """
    _sweep.SLOW = 1.0
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    first, *others = measure(5)
    over.set()
    thread.join()
    assert first > 0.5, "the signal came through"
    assert max(others) < 0.5, others
    """
    )
