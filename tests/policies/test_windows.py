"""What is different on Windows: two policies more, and no child watchers."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess import DefaultEventLoopPolicy

pytestmark = pytest.mark.windows

on_windows = pytest.mark.skipif(sys.platform != "win32", reason="this holds on Windows")
elsewhere = pytest.mark.skipif(sys.platform == "win32", reason="this holds everywhere else")

WINDOWS_ALONE = ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]
ELSEWHERE_ALONE = [
    "FastChildWatcher",
    "KqueueChildWatcher",
    "MacOSEventLoopPolicy",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "SafeChildWatcher",
    "ThreadedChildWatcher",
]


@elsewhere
@pytest.mark.parametrize("name", WINDOWS_ALONE)
def test_windows_names_elsewhere(name: str) -> None:
    """The Windows policies exist on Windows alone, as in asyncio."""
    assert not hasattr(governess, name)
    assert name not in governess.__all__


@on_windows
class TestWindows:
    @pytest.mark.parametrize("name", WINDOWS_ALONE)
    def test_names(self, name: str) -> None:
        """The Windows policies are default policies with another loop."""
        assert issubclass(getattr(governess, name), DefaultEventLoopPolicy)
        assert name in governess.__all__

    @pytest.mark.parametrize("name", ELSEWHERE_ALONE)
    def test_no_watchers(self, name: str) -> None:
        """What has to do with watchers does not exist, as in asyncio."""
        assert name not in governess.__all__
        assert not hasattr(governess, name)

    def test_watchers_of_our_own(self) -> None:
        """Of the watchers, which selector loops have inside, the one that needs neither signals nor pidfds works."""
        from governess import watchers

        assert watchers.available_watchers() == ("threaded",)
        assert watchers.choose_watcher().name == "threaded"

    @pytest.mark.parametrize("policy_name", ["DefaultEventLoopPolicy", *WINDOWS_ALONE])
    def test_no_child_watcher(self, policy_name: str) -> None:
        """get_child_watcher and set_child_watcher raise NotImplementedError, of every policy and of the functions."""
        policy = getattr(governess, policy_name)()
        governess.set_event_loop_policy(policy)
        calls: list[Callable[[], Any]] = [
            policy.get_child_watcher,
            lambda: policy.set_child_watcher(None),
            governess.get_child_watcher,
            lambda: governess.set_child_watcher(None),
        ]
        for call in calls:
            with pytest.raises(NotImplementedError):
                call()

    @pytest.mark.parametrize(
        ("policy_name", "loop_name"),
        [
            ("DefaultEventLoopPolicy", "ProactorEventLoop"),
            ("WindowsProactorEventLoopPolicy", "ProactorEventLoop"),
            ("WindowsSelectorEventLoopPolicy", "SelectorEventLoop"),
        ],
    )
    def test_loops(self, policy_name: str, loop_name: str) -> None:
        """Each policy makes its loops: by default proactor loops."""
        with getattr(governess, policy_name)() as policy:
            loop = policy.new_event_loop()
            assert isinstance(loop, getattr(asyncio, loop_name))
            assert loop.run_until_complete(asyncio.sleep(0, "ran")) == "ran"

    @pytest.mark.parametrize("policy_name", ["DefaultEventLoopPolicy", *WINDOWS_ALONE])
    def test_children(self, policy_name: str) -> None:
        """Children run under governess.run, and their returncodes are true."""
        with getattr(governess, policy_name)() as policy:
            governess.set_event_loop_policy(policy)

            async def child(code: int) -> int:
                command = [sys.executable, "-c", f"raise SystemExit({code})"]
                process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
                return await process.wait()

            async def main() -> list[int]:
                return await asyncio.gather(*map(child, range(3)))

            assert governess.run(main()) == [0, 1, 2]
