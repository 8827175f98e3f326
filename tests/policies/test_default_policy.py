"""The default policy: which loop a context gets, and the three choices that it is made of."""

import asyncio
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess import DefaultEventLoopPolicy

pytestmark = pytest.mark.windows

Factory = Callable[[], AbstractEventLoop]
Here = Callable[[], tuple[str, int]]
InThread = Callable[[Callable[[], Any]], Any]

NO_LOOP = "There is no current event loop"


class OneForAll:
    """A scope with one loop for the whole process."""

    def __init__(self) -> None:
        self.loop: AbstractEventLoop | None = None

    def get(self) -> AbstractEventLoop | None:
        return self.loop

    def set(self, loop: AbstractEventLoop | None) -> None:
        self.loop = loop

    def may_create(self) -> bool:
        return False

    def describe(self) -> str:
        return "this process"


class TestGetEventLoop:
    def test_current(self, policy: DefaultEventLoopPolicy) -> None:
        """The loop that was set is the current one."""
        loop = policy.new_event_loop()
        policy.set_event_loop(loop)
        assert policy.get_event_loop() is loop
        assert governess.get_event_loop() is loop

    def test_running(self, policy: DefaultEventLoopPolicy, loop_factory: Factory) -> None:
        """The running loop comes before the current one, whoever made it."""
        policy.set_event_loop(policy.new_event_loop())

        async def main() -> tuple[object, ...]:
            return governess.get_event_loop(), policy.get_event_loop(), asyncio.get_running_loop()

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            by_function, by_policy, running = runner.run(main())
            assert by_function is by_policy is running is runner.get_loop()
        assert policy.get_event_loop() is not running

    def test_running_where_none_was_set(self, policy: DefaultEventLoopPolicy) -> None:
        """In a running loop, none is made."""

        async def main() -> bool:
            return policy.get_event_loop() is asyncio.get_running_loop()

        with asyncio.Runner(loop_factory=policy.new_event_loop) as runner:
            assert runner.run(main())

    def test_made_once(self, policy: DefaultEventLoopPolicy) -> None:
        """In the main thread, the first call makes a loop with a warning, and the next ones return it without."""
        with pytest.warns(DeprecationWarning, match=NO_LOOP) as caught:
            loop = policy.get_event_loop()
        assert len(caught) == 1
        assert isinstance(loop, AbstractEventLoop)
        assert policy.get_event_loop() is loop
        assert governess.get_event_loop() is loop

    def test_nothing_is_set_where_the_warning_is_an_error(self, policy: DefaultEventLoopPolicy) -> None:
        """Where the warning is an error, no loop is made, and the next call warns again."""
        for _ in range(2):
            with pytest.raises(DeprecationWarning, match=NO_LOOP):
                policy.get_event_loop()

    @pytest.mark.parametrize("asked", ["function", "method"])
    def test_warning_points_at_the_caller(self, policy: DefaultEventLoopPolicy, here: Here, asked: str) -> None:
        """The warning names the file and the line of the call, by whichever way it was made."""
        get_event_loop = governess.get_event_loop if asked == "function" else policy.get_event_loop
        with pytest.warns(DeprecationWarning, match=NO_LOOP) as caught:
            line, _ = here(), get_event_loop()
        assert (caught[0].filename, caught[0].lineno) == line

    @pytest.mark.parametrize("asked", ["function", "method"])
    def test_warning_points_at_super(self, loop_factory: Factory, here: Here, asked: str) -> None:
        """In a subclass that overrides the method, the caller is the line with super(), as in asyncio."""
        lines = []

        class Mine(DefaultEventLoopPolicy):
            def get_event_loop(self) -> AbstractEventLoop:
                line, loop = here(), super().get_event_loop()
                lines.append(line)
                return loop

        with Mine(loop_factory) as policy:
            governess.set_event_loop_policy(policy)
            with pytest.warns(DeprecationWarning, match=NO_LOOP) as caught:
                (governess if asked == "function" else policy).get_event_loop()
        assert [(warning.filename, warning.lineno) for warning in caught] == lines

    def test_other_thread(self, policy: DefaultEventLoopPolicy, in_thread: InThread) -> None:
        """In another thread where none was set, there is a RuntimeError that names the thread."""
        with pytest.raises(RuntimeError, match="There is no current event loop in thread 'other_0'"):
            in_thread(policy.get_event_loop)
        with pytest.raises(RuntimeError, match="There is no current event loop in thread 'other_0'"):
            in_thread(governess.get_event_loop)

    def test_none_was_set(self, policy: DefaultEventLoopPolicy) -> None:
        """After None was set, the main thread gets a RuntimeError too, and no loop is made."""
        policy.set_event_loop(None)
        with pytest.raises(RuntimeError, match="There is no current event loop in thread 'MainThread'"):
            policy.get_event_loop()

    def test_taken_away(self, policy: DefaultEventLoopPolicy) -> None:
        """A loop that was set and taken away is not made anew."""
        policy.set_event_loop(policy.new_event_loop())
        policy.set_event_loop(None)
        with pytest.raises(RuntimeError, match=NO_LOOP):
            policy.get_event_loop()

    def test_a_loop_a_thread(self, policy: DefaultEventLoopPolicy, in_thread: InThread) -> None:
        """Each thread has its own current loop, and does not see another's."""
        mine, theirs = policy.new_event_loop(), policy.new_event_loop()
        policy.set_event_loop(mine)
        in_thread(lambda: policy.set_event_loop(theirs))
        assert policy.get_event_loop() is mine
        assert in_thread(policy.get_event_loop) is theirs
        in_thread(lambda: policy.set_event_loop(None))
        assert policy.get_event_loop() is mine

    def test_a_thread_cannot_set_for_the_main_one(self, policy: DefaultEventLoopPolicy, in_thread: InThread) -> None:
        """What another thread sets leaves the main thread where it was: its first call still makes a loop."""
        in_thread(lambda: policy.set_event_loop(None))
        with pytest.warns(DeprecationWarning, match=NO_LOOP):
            assert policy.get_event_loop() is not None

    def test_policies_are_apart(self, policy: DefaultEventLoopPolicy) -> None:
        """The current loop of one policy is not that of another."""
        policy.set_event_loop(policy.new_event_loop())
        other = DefaultEventLoopPolicy()
        other.set_event_loop(None)
        with pytest.raises(RuntimeError, match=NO_LOOP):
            other.get_event_loop()


@pytest.mark.parametrize("junk", [object(), 0, "", asyncio.SelectorEventLoop])
def test_set_event_loop_to_junk(policy: DefaultEventLoopPolicy, junk: Any) -> None:
    """What is neither a loop nor None is refused with a TypeError, and the current loop stays."""
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    with pytest.raises(TypeError, match="loop must be an instance of AbstractEventLoop or None, not"):
        policy.set_event_loop(junk)
    assert policy.get_event_loop() is loop


class TestLoopFactory:
    def test_default(self) -> None:
        """By default loops are asyncio's own: Proactor on Windows, Selector elsewhere."""
        with DefaultEventLoopPolicy() as policy:
            expected = asyncio.ProactorEventLoop if sys.platform == "win32" else asyncio.SelectorEventLoop
            assert isinstance(policy.new_event_loop(), expected)

    def test_class(self, policy: DefaultEventLoopPolicy, loop_factory: Any) -> None:
        """A loop class makes loops that are instances of it, each a new one, and none is anybody's current loop."""
        first, second = policy.new_event_loop(), policy.new_event_loop()
        assert isinstance(first, loop_factory)
        assert isinstance(second, loop_factory)
        assert first is not second
        with pytest.warns(DeprecationWarning, match=NO_LOOP):
            assert policy.get_event_loop() not in (first, second)

    def test_callable(self, loop_factory: Factory) -> None:
        """Anything that can be called without arguments will do."""
        made = []

        def factory() -> AbstractEventLoop:
            made.append(loop_factory())
            return made[-1]

        with DefaultEventLoopPolicy(loop_factory=factory) as policy:
            assert policy.new_event_loop() is made[0]

    def test_class_attribute(self, loop_factory: Any) -> None:
        """A subclass can name its loop class in `_loop_factory`, as was done with asyncio's policies."""

        class Mine(DefaultEventLoopPolicy):
            _loop_factory = loop_factory

        with Mine() as policy:
            assert isinstance(policy.new_event_loop(), loop_factory)

    def test_argument_comes_before_the_class_attribute(self, loop_factory: Any) -> None:
        """What is passed counts more than what the class says."""

        class Mine(DefaultEventLoopPolicy):
            _loop_factory = None  # type: ignore[assignment]

        with Mine(loop_factory) as policy:
            assert isinstance(policy.new_event_loop(), loop_factory)

    def test_set_factory(self, loop_factory: Any) -> None:
        """set_factory changes what the next loop is made by; None goes back to the default."""

        class Special(loop_factory):  # type: ignore[misc]
            pass

        with DefaultEventLoopPolicy() as policy:
            default = type(policy.new_event_loop())
            policy.set_factory(Special)
            assert isinstance(policy.new_event_loop(), Special)
            policy.set_factory(None)
            assert type(policy.new_event_loop()) is default

    @pytest.mark.parametrize("junk", [5, b"uvloop", object()])
    def test_junk(self, policy: DefaultEventLoopPolicy, junk: Any) -> None:
        """What is neither a callable nor a name is refused with a TypeError at once."""
        with pytest.raises(TypeError, match="loop_factory is a callable or a name"):
            DefaultEventLoopPolicy(junk)
        with pytest.raises(TypeError, match="loop_factory is a callable or a name"):
            policy.set_factory(junk)
        assert isinstance(policy.new_event_loop(), AbstractEventLoop)

    @pytest.mark.parametrize("junk", [None, 5, asyncio.SelectorEventLoop])
    def test_makes_junk(self, policy: DefaultEventLoopPolicy, junk: Any) -> None:
        """A factory that makes something else than a loop is a TypeError that names it, never None."""
        policy.set_factory(lambda: junk)
        with pytest.raises(TypeError, match=r"the loop factory .* has made .*, which is no event loop"):
            policy.new_event_loop()
        with (
            pytest.warns(DeprecationWarning, match=NO_LOOP),
            pytest.raises(TypeError, match="no event loop"),
        ):
            policy.get_event_loop()

    def test_raises(self, policy: DefaultEventLoopPolicy) -> None:
        """What the factory raises comes through."""

        def factory() -> AbstractEventLoop:
            raise OSError("no descriptors left")

        policy.set_factory(factory)
        with pytest.raises(OSError, match="no descriptors left"):
            policy.new_event_loop()

    def test_for_others(self, policy: DefaultEventLoopPolicy, loop_factory: Any) -> None:
        """policy.loop_factory serves whoever takes a factory, and follows set_factory."""
        given = policy.loop_factory

        class Special(loop_factory):  # type: ignore[misc]
            pass

        policy.set_factory(Special)
        with asyncio.Runner(loop_factory=given) as runner:
            assert isinstance(runner.get_loop(), Special)

    def test_for_others_of_a_subclass(self, loop_factory: Factory) -> None:
        """policy.loop_factory goes through a new_event_loop that a subclass overrides."""
        made = []

        class Mine(DefaultEventLoopPolicy):
            def new_event_loop(self) -> AbstractEventLoop:
                made.append(super().new_event_loop())
                return made[-1]

        with Mine(loop_factory) as policy:
            assert [policy.loop_factory()] == made


class TestScope:
    def test_given(self, loop_factory: Factory, in_thread: InThread) -> None:
        """The scope decides who shares a loop, here all threads."""
        with DefaultEventLoopPolicy(loop_factory, scope=OneForAll()) as policy:
            loop = policy.new_event_loop()
            policy.set_event_loop(loop)
            assert in_thread(policy.get_event_loop) is loop

    def test_may_not_create(self) -> None:
        """The scope decides whether a loop is made, and how the context is called in the error."""
        policy = DefaultEventLoopPolicy(scope=OneForAll())
        with pytest.raises(RuntimeError, match="There is no current event loop in this process"):
            policy.get_event_loop()


class TestSubclass:
    """Overriding any one method works, as asyncio's documentation shows."""

    @pytest.mark.parametrize(
        "name",
        ["get_event_loop", "set_event_loop", "new_event_loop"]
        + ([] if sys.platform == "win32" else ["get_child_watcher", "set_child_watcher"]),
    )
    def test_each_method(self, loop_factory: Factory, name: str) -> None:
        """The overriding method is what governess's function of that name leads to, and super() does the work."""
        results = []

        def method(self: DefaultEventLoopPolicy, *args: Any) -> Any:
            results.append(getattr(super(Mine, self), name)(*args))
            return results[-1]

        Mine = type("Mine", (DefaultEventLoopPolicy,), {name: method})
        with Mine(loop_factory) as policy:
            governess.set_event_loop_policy(policy)
            loop = governess.new_event_loop()
            governess.set_event_loop(loop)
            assert governess.get_event_loop() is loop
            if sys.platform != "win32":
                watcher = governess.ThreadedChildWatcher()
                governess.set_child_watcher(watcher)
                assert governess.get_child_watcher() is watcher
        assert results == [{"get_event_loop": loop, "new_event_loop": loop, "get_child_watcher": results[0]}.get(name)]

    def test_get_event_loop_that_makes_loops(self, loop_factory: Factory, in_thread: InThread) -> None:
        """A subclass can make a loop for every thread that has none."""

        class Eager(DefaultEventLoopPolicy):
            def get_event_loop(self) -> AbstractEventLoop:
                try:
                    return super().get_event_loop()
                except RuntimeError:
                    self.set_event_loop(self.new_event_loop())
                    return super().get_event_loop()

        with Eager(loop_factory) as policy:
            governess.set_event_loop_policy(policy)
            loop = in_thread(governess.get_event_loop)
            assert in_thread(governess.get_event_loop) is loop
            assert in_thread(lambda: loop.run_until_complete(asyncio.sleep(0, "ran"))) == "ran"

    def test_creation_uses_what_is_overridden(self, loop_factory: Factory) -> None:
        """The loop that get_event_loop makes goes through the overridden new_event_loop and set_event_loop."""
        calls = []

        class Mine(DefaultEventLoopPolicy):
            def new_event_loop(self) -> AbstractEventLoop:
                loop = super().new_event_loop()
                calls.append(("new", loop))
                return loop

            def set_event_loop(self, loop: AbstractEventLoop | None) -> None:
                calls.append(("set", loop))
                super().set_event_loop(loop)

        with Mine(loop_factory) as policy:
            with pytest.warns(DeprecationWarning, match=NO_LOOP):
                loop = policy.get_event_loop()
            assert calls == [("new", loop), ("set", loop)]

    def test_own_init(self, loop_factory: Factory) -> None:
        """A subclass can have an __init__ with other arguments."""

        class Named(DefaultEventLoopPolicy):
            def __init__(self, name: str) -> None:
                super().__init__(loop_factory)
                self.name = name

        with Named("mine") as policy:
            policy.new_event_loop()
            assert policy.name == "mine"


def test_many_threads_at_once(policy: DefaultEventLoopPolicy) -> None:
    """Threads that make, set and run loops at the same time all get their own."""
    count = 8
    together = threading.Barrier(count)
    found: list[tuple[AbstractEventLoop, bool]] = []

    def work() -> None:
        together.wait()
        loop = policy.new_event_loop()
        policy.set_event_loop(loop)
        loop.run_until_complete(asyncio.sleep(0))
        found.append((loop, policy.get_event_loop() is loop))
        loop.close()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({loop for loop, _ in found}) == count
    assert all(own for _, own in found)
