"""asyncio's policies and watchers are ours too, and asyncio takes ours for its own, as far as it still has any."""

import asyncio
import asyncio.events
import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import governess
from governess import AbstractChildWatcher, AbstractEventLoopPolicy, DefaultEventLoopPolicy

pytestmark = pytest.mark.windows

EVENTS = vars(asyncio.events)
PLATFORM = vars(sys.modules["asyncio.windows_events" if sys.platform == "win32" else "asyncio.unix_events"])


def first(namespace: dict[str, Any], *names: str) -> Any:
    """What asyncio calls by one of these names, found without its warnings; None where it has it no more."""
    return next((namespace[name] for name in names if name in namespace), None)


NATIVE_POLICY = first(EVENTS, "AbstractEventLoopPolicy", "_AbstractEventLoopPolicy")
NATIVE_DEFAULT = first(PLATFORM, "DefaultEventLoopPolicy", "_DefaultEventLoopPolicy")
NATIVE_WATCHER = first(PLATFORM, "AbstractChildWatcher")
NATIVE_WATCHERS = ["SafeChildWatcher", "FastChildWatcher", "ThreadedChildWatcher", "PidfdChildWatcher"]

with_policies = pytest.mark.skipif(NATIVE_POLICY is None, reason="this asyncio has no policies")
with_watchers = pytest.mark.skipif(NATIVE_WATCHER is None, reason="this asyncio has no watchers")


@pytest.fixture
def native_policy(policy: DefaultEventLoopPolicy) -> Iterator[DefaultEventLoopPolicy]:
    """Our policy, set as asyncio's own."""
    set_policy = first(EVENTS, "_set_event_loop_policy", "set_event_loop_policy")
    set_policy(policy)
    yield policy
    set_policy(None)


async def run_child() -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
    return await process.wait()


@with_policies
class TestPolicies:
    def test_ours_derive(self) -> None:
        """Our abstract class derives from asyncio's."""
        assert issubclass(AbstractEventLoopPolicy, NATIVE_POLICY)

    def test_theirs_are_accepted(self) -> None:
        """asyncio's default policy, and any that derives from its abstract class, is a policy."""

        class Stranger(NATIVE_POLICY):
            pass

        for policy in NATIVE_DEFAULT(), Stranger():
            assert isinstance(policy, AbstractEventLoopPolicy)
            governess.set_event_loop_policy(policy)
            assert governess.get_event_loop_policy() is policy

    def test_theirs_are_not_ours(self) -> None:
        """asyncio's own are abstract policies alone, and none of our concrete ones."""
        assert not isinstance(NATIVE_DEFAULT(), DefaultEventLoopPolicy)
        assert not issubclass(object, AbstractEventLoopPolicy)

    def test_theirs_give_loops(self) -> None:
        """Under asyncio's own policy, governess.run runs in the loops that it makes."""
        governess.set_event_loop_policy(NATIVE_DEFAULT())

        async def main() -> str:
            return await asyncio.sleep(0, "ran")

        assert governess.run(main()) == "ran"

    def test_uvloops(self) -> None:
        """uvloop's policy is one too."""
        uvloop = pytest.importorskip("uvloop")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            governess.set_event_loop_policy(uvloop.EventLoopPolicy())

        async def main() -> bool:
            return isinstance(asyncio.get_running_loop(), uvloop.Loop)

        assert governess.run(main())

    def test_set_as_asyncios(self, native_policy: DefaultEventLoopPolicy, loop_factory: Any) -> None:
        """asyncio takes our policy, asks it for loops, and their children are ours."""

        async def main() -> tuple[bool, int]:
            return isinstance(asyncio.get_running_loop(), loop_factory), await run_child()

        born = []
        with governess.observe(on_spawn=born.append):
            assert asyncio.run(main()) == (True, 7)
        assert len(born) == (0 if sys.platform == "win32" else 1)

    def test_asyncios_functions(self, native_policy: DefaultEventLoopPolicy) -> None:
        """asyncio's functions lead to our policy, which is its current one."""
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        assert asyncio.get_event_loop() is loop
        assert native_policy.get_event_loop() is loop
        asyncio.set_event_loop(None)
        with pytest.raises(RuntimeError, match="There is no current event loop"):
            asyncio.get_event_loop()

    def test_warning_points_at_the_caller_of_asyncio(
        self, native_policy: DefaultEventLoopPolicy, here: Callable[[], tuple[str, int]]
    ) -> None:
        """Where asyncio.get_event_loop makes our policy make a loop, the warning names the line that called it."""
        with pytest.warns(DeprecationWarning, match="There is no current event loop") as caught:
            line, _ = here(), asyncio.get_event_loop()
        assert (caught[0].filename, caught[0].lineno) == line


@with_watchers
class TestWatchers:
    def test_ours_derive(self) -> None:
        """Our abstract class derives from asyncio's, and all our watchers with it, without a warning."""
        assert issubclass(AbstractChildWatcher, NATIVE_WATCHER)
        assert issubclass(governess.ThreadedChildWatcher, NATIVE_WATCHER)

        class Mine(AbstractChildWatcher):
            pass

        assert isinstance(Mine(), NATIVE_WATCHER)

    @pytest.mark.parametrize("name", NATIVE_WATCHERS)
    def test_theirs_are_accepted(self, name: str) -> None:
        """asyncio's watchers are watchers, and watch the children of our loops, if those are asyncio's own."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            watcher = PLATFORM[name]()
        assert isinstance(watcher, AbstractChildWatcher)
        with contextlib.closing(watcher), DefaultEventLoopPolicy(watcher=watcher) as policy:
            governess.set_event_loop_policy(policy)
            assert governess.run(run_child()) == 7

    def test_set_as_asyncios(self, native_policy: DefaultEventLoopPolicy) -> None:
        """asyncio.set_child_watcher leads to our policy."""
        watcher = governess.ThreadedChildWatcher()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.set_child_watcher(watcher)
            assert asyncio.get_child_watcher() is watcher
        assert native_policy.get_child_watcher() is watcher

    def test_under_asyncios_policy(self) -> None:
        """asyncio's own policy takes our watchers."""
        policy, watcher = NATIVE_DEFAULT(), governess.ThreadedChildWatcher()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            policy.set_child_watcher(watcher)
            assert policy.get_child_watcher() is watcher


@pytest.mark.parametrize("junk", [object(), 5, None, asyncio])
def test_neither(junk: object) -> None:
    """Everything else is neither a policy nor a watcher."""
    assert not isinstance(junk, AbstractEventLoopPolicy)
    assert not isinstance(junk, AbstractChildWatcher)
