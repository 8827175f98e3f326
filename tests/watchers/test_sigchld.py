"""SIGCHLD wakes the loop that waits for it, whichever thread has started the child."""

import asyncio
from collections.abc import Callable

import pytest

import governess
from governess import AbstractChildWatcher, FastChildWatcher, MultiLoopChildWatcher, SafeChildWatcher
from governess.watchers import attached, multiloop


@pytest.mark.parametrize("make_watcher", [FastChildWatcher, MultiLoopChildWatcher, SafeChildWatcher])
def test_signal_wakes_the_loop(
    make_watcher: Callable[[], AbstractChildWatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit is seen by the signal, and not only by the slow search that goes with it."""
    for module in (attached, multiloop):
        monkeypatch.setattr(module, "SLOW", 1000.0)

    async def main() -> int:
        process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
        waiting = asyncio.ensure_future(process.wait())
        await asyncio.sleep(0)
        process.stdin.close()
        return await asyncio.wait_for(waiting, 10)

    watcher = make_watcher()
    policy = governess.DefaultEventLoopPolicy(asyncio.SelectorEventLoop, watcher=watcher)
    with policy, asyncio.Runner(loop_factory=policy.loop_factory) as runner:
        watcher.attach_loop(runner.get_loop())
        assert runner.run(main()) == 0
    watcher.close()
