"""Children in the shared loop: with every watcher, from the main thread and from others."""

import asyncio
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

import governess
from fresh import run_fresh
from governess import SharedEventLoopPolicy

if sys.platform == "win32":
    pytest.skip("there are no child watchers on Windows", allow_module_level=True)

from governess.watchers import choose_watcher
from settings import ATTACHED, WATCHERS

Factory = Callable[[], AbstractEventLoop]


async def run_child(status: int = 7) -> int:
    process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {status}")
    return await process.wait()


async def run_children() -> list[int]:
    return await asyncio.gather(*(run_child(status) for status in range(5)))


@pytest.mark.parametrize("watcher", WATCHERS)
class TestWatchers:
    def test_main_thread(self, loop_factory: Factory, watcher: str) -> None:
        """Children that the main thread asks for are watched."""
        with SharedEventLoopPolicy(loop_factory, watcher=choose_watcher(watcher).factory) as policy:
            assert policy.call(run_children()) == [0, 1, 2, 3, 4]
            assert policy.submit(run_child()).result(10) == 7
            assert policy.get_event_loop().run_until_complete(run_child()) == 7

    def test_instance(self, loop_factory: Factory, watcher: str) -> None:
        """So they are by a watcher that exists already."""
        ours = choose_watcher(watcher).factory()
        try:
            with SharedEventLoopPolicy(loop_factory, watcher=ours) as policy:
                assert policy.call(run_children()) == [0, 1, 2, 3, 4]
        finally:
            ours.close()

    def test_other_thread(self, loop_factory: Factory, watcher: str, in_thread: Callable[..., Any]) -> None:
        """So are those that another thread asks for; watchers that use SIGCHLD need one call in the main thread."""
        with SharedEventLoopPolicy(loop_factory, watcher=choose_watcher(watcher).factory) as policy:
            if watcher in ATTACHED:
                with pytest.raises(RuntimeError, match="is not active"):
                    in_thread(lambda: policy.call(run_child()))
                policy.get_event_loop()
            assert in_thread(lambda: policy.call(run_children())) == [0, 1, 2, 3, 4]

    def test_beside_another_loop(self, loop_factory: Factory, watcher: str) -> None:
        """They are watched while a loop of the same policy runs in the main thread, and after it."""
        with SharedEventLoopPolicy(loop_factory, watcher=choose_watcher(watcher).factory) as policy:
            governess.set_event_loop_policy(policy)

            async def main() -> list[int]:
                shared = policy.submit(run_child())
                return [await run_child(), await asyncio.wrap_future(shared)]

            assert policy.call(run_child()) == 7
            assert governess.run(main()) == [7, 7]
            assert policy.call(run_child()) == 7

    def test_closed_with_a_child(self, loop_factory: Factory, watcher: str) -> None:
        """A child that lives when the policy is closed is reaped when it ends."""
        started: list[Any] = []
        gone = threading.Event()

        async def start() -> None:
            started.append(await asyncio.create_subprocess_exec("sleep", "60"))

        with governess.observe(on_exit=lambda child, exit: gone.set()):
            with SharedEventLoopPolicy(loop_factory, watcher=choose_watcher(watcher).factory) as policy:
                policy.call(start())
                transport = started[0]._transport
                child = transport.get_extra_info("child")
            child.signal(9)
            assert gone.wait(10)
            transport.close()


def test_fork(loop_name: str) -> None:
    """A forked child sees no shared loop, and begins its own; the parent's goes on."""
    run_fresh(
        f"""
import asyncio, os, sys, governess

async def run_child():
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    return await process.wait()

policy = governess.SharedEventLoopPolicy(loop_factory="{loop_name}")
loop = policy.get_event_loop()
assert policy.call(run_child()) == 7
pid = os.fork()
if not pid:
    status = 1
    try:
        assert policy.get_event_loop() is not loop
        assert policy.call(run_child()) == 7
        try:
            loop.run_until_complete(asyncio.sleep(0))
        except RuntimeError as error:
            assert "forked" in str(error), error
            status = 0
        policy.close()
    finally:
        os._exit(status)
assert os.waitpid(pid, 0)[1] == 0
assert policy.get_event_loop() is loop
assert policy.call(run_child()) == 7
policy.close()
""",
        "-W",
        "ignore:This process:DeprecationWarning",
        "-W",
        "ignore:coroutine 'sleep' was never awaited:RuntimeWarning",
    )
