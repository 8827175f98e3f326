"""After `install`, asyncio's own names lead to governess; after `uninstall`, everything is as it was."""

import asyncio
import importlib
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import governess
from fresh import run_fresh
from settings import in_thread

POLICY_NAMES = [
    "AbstractEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "get_event_loop_policy",
    "set_event_loop_policy",
    "get_event_loop",
    "set_event_loop",
    "new_event_loop",
    "get_child_watcher",
    "set_child_watcher",
]
WATCHER_NAMES = [
    "AbstractChildWatcher",
    "FastChildWatcher",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "SafeChildWatcher",
    "ThreadedChildWatcher",
]
MODULES = ["asyncio", "asyncio.events", "asyncio.unix_events"]

get_event_loop_before, set_event_loop_before = asyncio.get_event_loop, asyncio.set_event_loop


@pytest.fixture
def bridge() -> Iterator[None]:
    with governess.installed():
        yield


def look() -> dict[Any, Any]:
    """Every attribute of asyncio's modules and of the loop classes, by identity."""
    owners: list[Any] = [importlib.import_module(name) for name in MODULES]
    owners += [asyncio.SelectorEventLoop, governess.DefaultEventLoopPolicy]
    if "_local" in vars(asyncio.events):  # since 3.16
        owners.append(type(asyncio.events._local))
    if "uvloop" in sys.modules:
        owners.append(sys.modules["uvloop"].Loop)
    return {(owner, name): id(value) for owner in owners for name, value in vars(owner).items()}


async def child(script: str = "exit 7") -> tuple[int, bool]:
    process = await asyncio.create_subprocess_exec("sh", "-c", script)
    returncode = await process.wait()
    return returncode, isinstance(returncode, governess.Exit)


@pytest.mark.usefixtures("bridge")
class TestInstalled:
    def test_names(self) -> None:
        """Every name of a policy or a watcher is there, governess's, and says nothing."""
        for name in POLICY_NAMES + WATCHER_NAMES:
            assert getattr(asyncio, name) is getattr(governess, name), name
        assert asyncio.unix_events.ThreadedChildWatcher is governess.ThreadedChildWatcher
        assert issubclass(asyncio.unix_events.SafeChildWatcher, asyncio.unix_events.BaseChildWatcher)
        assert asyncio.events.BaseDefaultEventLoopPolicy is governess.DefaultEventLoopPolicy

    def test_star_import(self) -> None:
        """`from asyncio import *` brings the names along."""
        namespace: dict[str, Any] = {}
        exec("from asyncio import *", namespace)
        assert set(POLICY_NAMES + WATCHER_NAMES) <= set(namespace)

    def test_run(self) -> None:
        """asyncio.run takes its loop from the current policy, and its children are governess's."""

        class Policy(asyncio.DefaultEventLoopPolicy):
            made = 0

            def new_event_loop(self) -> asyncio.AbstractEventLoop:
                self.made += 1
                return super().new_event_loop()

        policy = Policy()
        asyncio.set_event_loop_policy(policy)
        assert asyncio.run(child()) == (7, True)
        assert policy.made == 1
        with asyncio.Runner() as runner:
            assert runner.run(child()) == (7, True)
        assert policy.made == 2
        policy.close()

    def test_loop_classes_keep_their_identity(self) -> None:
        """A loop that somebody made of asyncio's class, before or after, starts its children by governess."""
        loop = asyncio.SelectorEventLoop()
        assert loop.run_until_complete(child()) == (7, True)
        loop.close()

    def test_uvloops_class(self) -> None:
        """uvloop.Loop starts its children by governess."""
        uvloop = pytest.importorskip("uvloop")
        loop = uvloop.Loop()
        assert loop.run_until_complete(child()) == (7, True)
        loop.close()

    def test_uvloops_policy(self) -> None:
        """uvloop's policy, which knows no watcher, gets the default one."""
        uvloop = pytest.importorskip("uvloop")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # uvloop's own
            policy = uvloop.EventLoopPolicy()
        asyncio.set_event_loop_policy(policy)
        assert asyncio.run(child()) == (7, True)

    @pytest.mark.parametrize("set_event_loop", ["now", "before"])
    def test_current_loop(self, set_event_loop: str) -> None:
        """asyncio's functions, those in C, and whoever got hold of them before the install ask the same policy."""
        policy = governess.DefaultEventLoopPolicy()
        asyncio.set_event_loop_policy(policy)
        assert governess.get_event_loop_policy() is policy
        loop = asyncio.new_event_loop()
        {"now": asyncio.set_event_loop, "before": set_event_loop_before}[set_event_loop](loop)
        coroutine = asyncio.sleep(0)
        try:
            assert policy.get_event_loop() is loop
            assert asyncio.get_event_loop() is loop
            assert get_event_loop_before() is loop
            assert asyncio.Future().get_loop() is loop
            loop.run_until_complete(asyncio.ensure_future(coroutine))
        finally:
            coroutine.close()
            asyncio.set_event_loop(None)
            policy.close()

    def test_no_current_loop(self) -> None:
        """Where the policy has no loop, all of them say what the policy says."""

        class Policy(asyncio.DefaultEventLoopPolicy):
            def get_event_loop(self) -> asyncio.AbstractEventLoop:
                raise RuntimeError("no loop today")

        asyncio.set_event_loop_policy(Policy())
        for ask in (asyncio.get_event_loop, get_event_loop_before, asyncio.Future):
            with pytest.raises(RuntimeError, match="no loop today"):
                ask()

    def test_creation_warns_with_the_callers_line(self) -> None:
        """get_event_loop() without a loop makes one in the main thread, with a DeprecationWarning that points here."""
        policy = governess.DefaultEventLoopPolicy()
        asyncio.set_event_loop_policy(policy)
        with pytest.warns(DeprecationWarning, match="no current event loop") as caught:
            loop = asyncio.get_event_loop()
        assert caught[0].filename == __file__
        assert asyncio.get_event_loop() is loop
        policy.close()

    def test_watcher_of_the_old_way(self) -> None:
        """set_child_watcher and a watcher attached by hand work as they did in 3.8."""
        watcher = asyncio.SafeChildWatcher()
        asyncio.set_child_watcher(watcher)
        policy = asyncio.get_event_loop_policy()
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        watcher.attach_loop(loop)
        assert loop.run_until_complete(child()) == (7, True)
        asyncio.set_event_loop(None)
        loop.close()
        asyncio.set_child_watcher(None)
        watcher.close()
        policy.close()

    def test_child_in_a_threads_loop(self) -> None:
        """A loop in another thread has children without any preparation in the main thread."""
        assert in_thread(lambda: asyncio.run(child())) == (7, True)

    def test_users_own_watcher(self) -> None:
        """A watcher derived from asyncio's class, with asyncio's verbs alone, works."""

        class Own(asyncio.AbstractChildWatcher):
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None: ...

            def is_active(self) -> bool:
                return True

            def attach_loop(self, loop: Any) -> None: ...

            def close(self) -> None: ...

            def add_child_handler(self, pid: int, callback: Any, *args: Any) -> None:
                threading.Thread(target=lambda: callback(pid, wait(pid), *args)).start()

        def wait(pid: int) -> int:
            import os

            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        asyncio.set_child_watcher(Own())
        assert asyncio.run(child())[0] == 7
        asyncio.set_child_watcher(None)


class TestUninstalled:
    def test_restores_everything(self) -> None:
        """A hundred times leave every attribute, and what was not there is gone."""
        before = look()
        for _ in range(100):
            governess.install()
            governess.uninstall()
        assert look() == before

    def test_restores_the_children(self) -> None:
        """asyncio's own children are back."""
        with governess.installed():
            pass
        assert asyncio.run(child()) == (7, False)

    def test_twice_is_once(self) -> None:
        """A second install changes the policy alone; a second uninstall nothing."""
        before = look()
        policy = governess.DefaultEventLoopPolicy()
        governess.install()
        governess.install(policy)
        assert asyncio.get_event_loop_policy() is policy
        governess.uninstall()
        governess.uninstall()
        assert look() == before

    def test_nested_blocks(self) -> None:
        """An inner block changes the policy for its time."""
        outer, inner = governess.DefaultEventLoopPolicy(), governess.DefaultEventLoopPolicy()
        with governess.installed(outer):
            with governess.installed(inner):
                assert asyncio.get_event_loop_policy() is inner
            assert asyncio.get_event_loop_policy() is outer
        assert governess.get_event_loop_policy() not in (inner, outer)

    def test_refused_while_a_loop_runs(self) -> None:
        """In a thread whose loop runs both are a RuntimeError that says so."""

        async def main() -> None:
            for function in (governess.install, governess.uninstall):
                with pytest.raises(RuntimeError, match="whose event loop runs"):
                    function()

        before = look()
        asyncio.run(main())
        governess.get_event_loop_policy()
        assert {key for key in look() if key not in before} == set()

    def test_no_policy(self) -> None:
        """Something else than a policy is a TypeError, and nothing stays installed."""
        before = look()
        with pytest.raises(TypeError, match="AbstractEventLoopPolicy"), governess.installed(42):  # type: ignore[arg-type]
            pass
        assert look() == before


def test_forked_child() -> None:
    """A child forked while a loop runs has no running loop, as without the bridge, and no complaint is printed."""
    run_fresh("""
        import asyncio, os, governess

        governess.install()

        async def main():
            if pid := os.fork():
                return os.waitpid(pid, 0)[1]
            os._exit(asyncio._get_running_loop() is not None)

        assert asyncio.run(main()) == 0
        """)


def test_as_a_program_sees_it() -> None:
    """A program of 2020 runs to its end without a warning that is not its own."""
    program = """
import governess
governess.install()
import asyncio
from asyncio import ThreadedChildWatcher

class Policy(asyncio.DefaultEventLoopPolicy):
    def get_event_loop(self):
        return super().get_event_loop()

asyncio.set_event_loop_policy(Policy())
asyncio.set_child_watcher(ThreadedChildWatcher())
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)

async def main():
    process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
    return await process.communicate()

print(asyncio.get_event_loop().run_until_complete(main()))
loop.close()
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"(b'hello\\n', None)\n", b"")
