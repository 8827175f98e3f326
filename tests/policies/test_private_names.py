"""What asyncio's policies had inside: `_local`, `_Local`, `_init_watcher` and `_watcher`."""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess import ContextEventLoopPolicy, DefaultEventLoopPolicy, SharedEventLoopPolicy

ALL = [DefaultEventLoopPolicy, ContextEventLoopPolicy, SharedEventLoopPolicy]


@pytest.fixture(params=ALL, ids=lambda policy: policy.__name__)
def policy(request: pytest.FixtureRequest) -> Any:
    with request.param() as policy:
        yield policy


class TestLocal:
    def test_reads(self, policy: Any) -> None:
        """policy._local._loop is the loop that was set, and _set_called tells whether one was."""
        assert policy._local._loop is None
        assert not policy._local._set_called
        loop = policy.new_event_loop()
        policy.set_event_loop(loop)
        assert policy._local._loop is loop
        assert policy._local._set_called

    def test_writes(self, policy: Any) -> None:
        """A loop that is written to policy._local._loop is the current one, and does not count as set."""
        loop = policy.new_event_loop()
        policy._local._loop = loop
        assert policy.get_event_loop() is loop
        assert not policy._local._set_called

    @pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")
    @pytest.mark.parametrize("kind", ALL[:2])
    def test_forgets(self, kind: type[DefaultEventLoopPolicy]) -> None:
        """Where _set_called is made False again, the main thread gets a new loop."""
        with kind() as policy:
            policy.set_event_loop(None)
            with pytest.raises(RuntimeError):
                policy.get_event_loop()
            policy._local._set_called = False
            assert policy.get_event_loop() is policy._local._loop

    def test_is_of_one_thread(self, in_thread: Callable[[Callable[[], Any]], Any]) -> None:
        """Another thread has another loop there, and other attributes."""
        with DefaultEventLoopPolicy() as policy:
            policy.set_event_loop(policy.new_event_loop())
            policy._local.own = 1
            assert in_thread(lambda: policy._local._loop) is None
            assert not in_thread(lambda: hasattr(policy._local, "own"))
            assert policy._local.own == 1

    def test_scope_that_does_not_tell(self) -> None:
        """A scope of one's own without `was_set` is read by may_create(), and warns when it cannot be written."""

        class Scope:
            loop = None

            def get(self) -> Any:
                return self.loop

            def set(self, loop: Any) -> None:
                self.loop = loop

            def may_create(self) -> bool:
                return self.loop is None

            def describe(self) -> str:
                return "here"

        with DefaultEventLoopPolicy(scope=Scope()) as policy:
            assert not policy._local._set_called
            with pytest.warns(RuntimeWarning, match=r"cannot set policy\._local\._set_called"):
                policy._local._set_called = True

    def test_assigned(self) -> None:
        """An object that a program puts there keeps the loops from then on."""
        mine: Any = threading.local()
        with DefaultEventLoopPolicy() as policy:
            policy._local = mine
            loop = policy.new_event_loop()
            policy.set_event_loop(loop)
            assert policy._local is mine
            assert mine._loop is loop
            assert policy.get_event_loop() is loop

    def test_assigned_to_a_context(self) -> None:
        """A policy whose scope is not a thread's says that it does not use such an object."""
        with ContextEventLoopPolicy() as policy, pytest.warns(RuntimeWarning, match="keeps its loops in its scope"):
            policy._local = threading.local()

    def test_new_one(self, policy: Any) -> None:
        """A new `_Local()` there forgets the loop, as asyncio's at-fork handler wants it."""
        policy.set_event_loop(policy.new_event_loop())
        policy._local = policy._Local()
        assert policy._local._loop is None
        assert not policy._local._set_called

    def test_class_of_ones_own(self) -> None:
        """A subclass's own `_Local` is what it finds there."""

        class Policy(DefaultEventLoopPolicy):
            class _Local(threading.local):  # type: ignore[assignment]
                _loop = None
                _set_called = False
                more = 7

        with Policy() as policy:
            policy.set_event_loop(policy.new_event_loop())
            assert policy._local.more == 7
            assert policy._local._loop is policy.get_event_loop()
            policy.set_event_loop(None)
            with pytest.raises(RuntimeError, match="There is no current event loop in thread"):
                policy.get_event_loop()

    def test_class_of_ones_own_creates(self) -> None:
        """With such a `_Local`, too, the main thread's first get_event_loop() makes a loop."""

        class Policy(DefaultEventLoopPolicy):
            class _Local(threading.local):  # type: ignore[assignment]
                pass

        with Policy() as policy, pytest.warns(DeprecationWarning, match="There is no current event loop"):
            assert policy.get_event_loop() is policy._local._loop


@pytest.mark.skipif(sys.platform == "win32", reason="there are no child watchers on Windows")
class TestInitWatcher:
    def test_overridden(self) -> None:
        """A subclass chooses the watcher in `_init_watcher`, which is called once, when a watcher is needed."""
        calls = []

        class Policy(DefaultEventLoopPolicy):
            def _init_watcher(self) -> None:
                calls.append(1)
                self._watcher = governess.ThreadedChildWatcher()

        async def main() -> int:
            return await (await asyncio.create_subprocess_exec("sh", "-c", "exit 3")).wait()

        with Policy() as policy:
            assert policy._watcher is None
            with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
                assert runner.run(main()) == 3
            assert isinstance(policy.get_child_watcher(), governess.ThreadedChildWatcher)
            assert calls == [1]

    @pytest.mark.skipif("can_use_pidfd" not in vars(asyncio.unix_events), reason="this asyncio has no such function")
    def test_can_use_pidfd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a program has replaced `asyncio.unix_events.can_use_pidfd` by one that says no, threads watch."""
        monkeypatch.setattr(asyncio.unix_events, "can_use_pidfd", lambda: False)
        with DefaultEventLoopPolicy() as policy:
            assert isinstance(policy.get_child_watcher(), governess.ThreadedChildWatcher)

    def test_chooses_none(self) -> None:
        """Where it leaves `_watcher` as it was, the default watcher is taken."""

        class Policy(DefaultEventLoopPolicy):
            def _init_watcher(self) -> None:
                pass

        with Policy() as policy:
            assert isinstance(policy.get_child_watcher(), governess.AbstractChildWatcher)
