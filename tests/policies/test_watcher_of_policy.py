"""The watcher of a policy: given, made on the first need, changed, and attached to the main thread's loop."""

import asyncio
import signal
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock, call, create_autospec

import pytest

import governess
from governess import AbstractChildWatcher, DefaultEventLoopPolicy

if sys.platform == "win32":
    pytest.skip("there are no child watchers on Windows", allow_module_level=True)

from governess import (
    MacOSEventLoopPolicy,
    MultiLoopChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
    watched,
)
from governess.watchers import choose_watcher

Factory = Callable[[], AbstractEventLoop]


@contextmanager
def policy_with(loop_factory: Factory | None, watcher: Any) -> Iterator[DefaultEventLoopPolicy]:
    with DefaultEventLoopPolicy(loop_factory, watcher=watcher) as policy:
        governess.set_event_loop_policy(policy)
        yield policy


@pytest.fixture
def mock() -> Mock:
    """A watcher that records its calls."""
    return create_autospec(AbstractChildWatcher, instance=True)


async def run_child() -> int:
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    return await process.wait()


class Recording(ThreadedChildWatcher):
    """A watcher that records the children it was asked to watch."""

    def __init__(self) -> None:
        super().__init__()
        self.pids: list[int] = []
        self.closed = False

    def add_child_handler(self, pid: int, callback: Any, *args: Any) -> None:
        self.pids.append(pid)
        super().add_child_handler(pid, callback, *args)

    def close(self) -> None:
        self.closed = True
        super().close()


def test_default(policy: DefaultEventLoopPolicy) -> None:
    """By default it is what `choose` says, and always the same one."""
    watcher = policy.get_child_watcher()
    assert type(watcher) is choose_watcher().factory
    assert policy.get_child_watcher() is watcher
    assert governess.get_child_watcher() is watcher


def test_instance(loop_factory: Factory) -> None:
    """The watcher that was passed watches the children of the policy's loops."""
    watcher = Recording()
    with policy_with(loop_factory, watcher) as policy:
        assert policy.get_child_watcher() is watcher
        assert governess.run(run_child()) == 7
    assert len(watcher.pids) == 1


def test_factory(loop_factory: Factory) -> None:
    """What makes a watcher is called once, on the first need."""
    made: list[Recording] = []

    def factory() -> Recording:
        made.append(Recording())
        return made[-1]

    with policy_with(loop_factory, factory) as policy:
        loop = policy.new_event_loop()
        assert made == []
        assert loop.run_until_complete(run_child()) == 7
        assert policy.get_child_watcher() is made[0]
    assert [len(watcher.pids) for watcher in made] == [1]


@pytest.mark.parametrize("junk", [5, "pidfd", object()])
def test_junk(junk: Any) -> None:
    """What is neither a watcher nor makes one is refused with a TypeError."""
    with pytest.raises(TypeError, match="watcher must be a child watcher, or a callable that makes one, not"):
        DefaultEventLoopPolicy(watcher=junk)


def test_factory_makes_junk() -> None:
    """A factory that makes something else than a watcher is a TypeError that names it."""
    policy = DefaultEventLoopPolicy(watcher=lambda: 5)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match=r"the watcher factory .* has made 5, which is no child watcher"):
        policy.get_child_watcher()


def test_set(policy: DefaultEventLoopPolicy) -> None:
    """The watcher that is set watches the children from then on; None goes back to the default one."""
    watcher = Recording()
    governess.set_child_watcher(watcher)
    assert policy.get_child_watcher() is watcher
    assert governess.run(run_child()) == 7
    assert len(watcher.pids) == 1
    governess.set_child_watcher(None)
    assert type(policy.get_child_watcher()) is choose_watcher().factory
    assert governess.run(run_child()) == 7
    assert len(watcher.pids) == 1


def test_set_while_a_child_lives(policy: DefaultEventLoopPolicy) -> None:
    """The watcher before is closed; the children that it has are reaped all the same."""
    first, second = Recording(), Recording()

    async def main() -> tuple[int, int]:
        governess.set_child_watcher(first)
        process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
        governess.set_child_watcher(second)
        later = await run_child()
        assert process.stdin is not None
        process.stdin.close()
        return await process.wait(), later

    assert governess.run(main()) == (0, 7)
    assert (len(first.pids), len(second.pids)) == (1, 1)
    assert first.closed


@pytest.mark.parametrize("junk", [5, "pidfd", object(), ThreadedChildWatcher])
def test_set_junk(policy: DefaultEventLoopPolicy, junk: Any) -> None:
    """What is neither a watcher nor None is refused with a TypeError, and the watcher stays."""
    watcher = policy.get_child_watcher()
    with pytest.raises(TypeError, match="watcher must be an instance of AbstractChildWatcher or None, not"):
        policy.set_child_watcher(junk)
    assert policy.get_child_watcher() is watcher


class TestAttaching:
    def test_follows_the_main_thread(self, policy: DefaultEventLoopPolicy, mock: Mock) -> None:
        """What the main thread sets as its loop, the watcher is attached to."""
        loop = policy.new_event_loop()
        policy.set_child_watcher(mock)
        policy.set_event_loop(loop)
        policy.set_event_loop(None)
        assert mock.attach_loop.mock_calls == [call(loop), call(None)]

    def test_not_another_thread(self, policy: DefaultEventLoopPolicy, mock: Mock, in_thread: Any) -> None:
        """What another thread sets does not concern it."""
        policy.set_child_watcher(mock)
        in_thread(lambda: policy.set_event_loop(policy.new_event_loop()))
        in_thread(lambda: policy.set_event_loop(None))
        mock.attach_loop.assert_not_called()

    def test_made_after_the_loop(self, loop_factory: Factory, mock: Mock) -> None:
        """A watcher that is made after the loop was set is attached to it at once."""
        with policy_with(loop_factory, lambda: mock) as policy:
            loop = policy.new_event_loop()
            policy.set_event_loop(loop)
            policy.get_child_watcher()
            mock.attach_loop.assert_called_once_with(loop)

    def test_made_in_another_thread(self, loop_factory: Factory, mock: Mock, in_thread: Any) -> None:
        """A watcher that another thread makes is not attached to that thread's loop."""
        with policy_with(loop_factory, lambda: mock) as policy:

            def work() -> None:
                policy.set_event_loop(policy.new_event_loop())
                policy.get_child_watcher()

            in_thread(work)
            mock.attach_loop.assert_not_called()

    def test_safe(self, loop_factory: Factory) -> None:
        """A SafeChildWatcher follows: SIGCHLD is its own while a loop is set, and given back when it is taken away."""
        before = signal.getsignal(signal.SIGCHLD)
        with policy_with(loop_factory, SafeChildWatcher()) as policy:
            for _ in range(2):
                policy.set_event_loop(policy.new_event_loop())
                assert signal.getsignal(signal.SIGCHLD) is not before
            policy.set_event_loop(None)
            assert signal.getsignal(signal.SIGCHLD) is before

    def test_safe_serves_other_threads(self, loop_factory: Factory) -> None:
        """A SafeChildWatcher is active, also for another thread, while the main thread's loop runs."""
        with policy_with(loop_factory, SafeChildWatcher()) as policy:
            watcher = policy.get_child_watcher()

            def work() -> int:
                assert watcher.is_active()
                with asyncio.Runner(loop_factory=policy.new_event_loop) as runner:
                    return runner.run(run_child())

            async def main() -> int:
                return await asyncio.to_thread(work)

            assert not watcher.is_active()
            assert governess.run(main()) == 7
            assert not watcher.is_active()


class TestClosing:
    def test_made(self, loop_factory: Factory) -> None:
        """policy.close() closes the watcher that the policy has made, and the next need makes another one."""
        with policy_with(loop_factory, Recording) as policy:
            watcher = policy.get_child_watcher()
            policy.close()
            assert isinstance(watcher, Recording)
            assert watcher.closed
            assert policy.get_child_watcher() is not watcher

    def test_given(self, loop_factory: Factory) -> None:
        """policy.close() leaves alone a watcher that was passed or set."""
        passed, was_set = Recording(), Recording()
        with policy_with(loop_factory, passed) as policy:
            policy.close()
            assert policy.get_child_watcher() is passed
            assert not passed.closed
            policy.set_child_watcher(was_set)
        assert not was_set.closed

    def test_replaced(self, loop_factory: Factory) -> None:
        """set_child_watcher() closes the watcher that it replaces, and not one that it sets again."""
        first, second = Recording(), Recording()
        with policy_with(loop_factory, first) as policy:
            policy.set_child_watcher(first)
            assert not first.closed
            policy.set_child_watcher(second)
            assert first.closed
            policy.set_child_watcher(None)
            assert second.closed

    def test_made_and_replaced(self, loop_factory: Factory) -> None:
        """A watcher that the policy has made and that was replaced is closed with the policy too."""
        before = signal.getsignal(signal.SIGCHLD)
        with policy_with(loop_factory, MultiLoopChildWatcher) as policy:
            policy.get_child_watcher()
            policy.set_child_watcher(ThreadedChildWatcher())
        assert signal.getsignal(signal.SIGCHLD) is before


class TestOverriding:
    def test_get_child_watcher(self, loop_factory: Factory) -> None:
        """The watcher that an overriding method gives is the one that watches."""
        watcher = Recording()

        class Mine(DefaultEventLoopPolicy):
            def get_child_watcher(self) -> AbstractChildWatcher:
                return watcher

        with Mine(loop_factory) as policy:
            governess.set_event_loop_policy(policy)
            assert governess.run(run_child()) == 7
        assert len(watcher.pids) == 1

    def test_policy_without_watchers(self, loop_factory: Factory) -> None:
        """Under a policy that defines no watcher methods, children run all the same."""

        class Plain(governess.AbstractEventLoopPolicy):
            loop: AbstractEventLoop | None = None

            def get_event_loop(self) -> AbstractEventLoop:
                assert self.loop is not None
                return self.loop

            def set_event_loop(self, loop: AbstractEventLoop | None) -> None:
                self.loop = loop

            def new_event_loop(self) -> AbstractEventLoop:
                return watched(loop_factory)()  # type: ignore[type-var]

        governess.set_event_loop_policy(Plain())
        assert governess.run(run_child()) == 7

    def test_loops_own_policy(self, loop_factory: Factory) -> None:
        """A loop asks the policy that made it, not the current one."""
        mine, other = Recording(), Recording()
        with DefaultEventLoopPolicy(loop_factory, watcher=mine) as policy, policy_with(None, other):
            assert policy.new_event_loop().run_until_complete(run_child()) == 7
        assert (len(mine.pids), len(other.pids)) == (1, 0)


def test_macos(loop_factory: Factory) -> None:
    """MacOSEventLoopPolicy is the default policy with a kqueue watcher, which another one can stand in for."""
    watcher = Recording()
    with MacOSEventLoopPolicy(loop_factory, watcher=watcher) as policy:
        governess.set_event_loop_policy(policy)
        assert governess.run(run_child()) == 7
    assert len(watcher.pids) == 1
