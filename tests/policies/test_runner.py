"""governess.run and governess.Runner: asyncio's, in a loop of the current policy."""

import asyncio
import contextvars
import signal
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess import DefaultEventLoopPolicy

pytestmark = pytest.mark.windows

Factory = Callable[[], AbstractEventLoop]


async def running() -> AbstractEventLoop:
    return asyncio.get_running_loop()


def run_in_runner(main: Any, **options: Any) -> Any:
    with governess.Runner(**options) as runner:
        return runner.run(main)


either = pytest.mark.parametrize("run", [governess.run, run_in_runner], ids=["run", "Runner"])


@either
class TestEither:
    def test_result(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """The coroutine's result is returned."""
        assert run(asyncio.sleep(0, "result")) == "result"

    def test_error(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """What the coroutine raises comes out, and the loop is closed."""
        loops = []

        async def main() -> None:
            loops.append(asyncio.get_running_loop())
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            run(main())
        assert loops[0].is_closed()

    def test_loop_of_the_policy(self, policy: DefaultEventLoopPolicy, loop_factory: Any, run: Any) -> None:
        """The loop is a new one of the current policy each time, and closed at the end."""
        first, second = run(running()), run(running())
        assert isinstance(first, loop_factory)
        assert first is not second
        assert first.is_closed()
        assert second.is_closed()

    def test_current_loop(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """Meanwhile the loop is the policy's current one; afterwards there is none."""
        seen: list[AbstractEventLoop | None] = []
        set_event_loop = policy.set_event_loop

        def record(loop: AbstractEventLoop | None) -> None:
            seen.append(loop)
            set_event_loop(loop)

        policy.set_event_loop = record  # type: ignore[method-assign]
        loop = run(running())
        assert seen == [loop, None]
        with pytest.raises(RuntimeError, match="There is no current event loop"):
            governess.get_event_loop()

    def test_after_an_error(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """After an error there is no current loop either."""

        async def main() -> None:
            raise LookupError

        with pytest.raises(LookupError):
            run(main())
        with pytest.raises(RuntimeError, match="There is no current event loop"):
            governess.get_event_loop()

    def test_loop_factory(self, policy: DefaultEventLoopPolicy, loop_factory: Factory, run: Any) -> None:
        """With a loop factory the policy is not asked, and its current loop stays."""
        made: list[AbstractEventLoop] = []
        current = policy.new_event_loop()
        policy.set_event_loop(current)

        def factory() -> AbstractEventLoop:
            made.append(loop_factory())
            return made[-1]

        assert [run(running(), loop_factory=factory)] == made
        assert policy.get_event_loop() is current

    @pytest.mark.parametrize("debug", [True, False])
    def test_debug(self, policy: DefaultEventLoopPolicy, run: Any, debug: bool) -> None:
        """`debug` is the debug mode of the loop."""

        async def main() -> bool:
            return asyncio.get_running_loop().get_debug()

        assert run(main(), debug=debug) is debug

    def test_debug_is_left(self, loop_factory: Factory, run: Any) -> None:
        """Without `debug` the mode stays as the loop factory has it."""

        def factory() -> AbstractEventLoop:
            loop = loop_factory()
            loop.set_debug(True)
            return loop

        async def main() -> bool:
            return asyncio.get_running_loop().get_debug()

        with DefaultEventLoopPolicy(factory) as policy:
            governess.set_event_loop_policy(policy)
            assert run(main())

    def test_remaining_tasks(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """Tasks that still run are cancelled and awaited, and asynchronous generators closed."""
        ended = []

        async def task() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("task")

        async def generate() -> Any:
            try:
                yield 1
            finally:
                ended.append("generator")

        async def main() -> None:
            kept.append(asyncio.create_task(task()))
            kept.append(generate())
            await anext(kept[1])

        kept: list[Any] = []
        run(main())
        assert ended == ["task", "generator"]

    def test_keyboard_interrupt(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """SIGINT cancels the coroutine, which can clean up, and KeyboardInterrupt comes out, as of asyncio.run."""
        ended = []

        async def main() -> None:
            asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append(await asyncio.sleep(0, "cleaned up"))
                raise

        for each in run, asyncio.run:
            with pytest.raises(KeyboardInterrupt):
                each(main())
        assert ended == ["cleaned up", "cleaned up"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_own_handler_of_sigint(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """A handler of SIGINT that the program has set stays in force."""
        seen = []

        async def main() -> str:
            signal.raise_signal(signal.SIGINT)
            return await asyncio.sleep(0, "goes on")

        signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
        try:
            assert run(main()) == "goes on"
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        assert seen == [signal.SIGINT]

    def test_other_thread(self, policy: DefaultEventLoopPolicy, in_thread: Any, run: Any) -> None:
        """It runs in any thread."""
        assert in_thread(lambda: run(asyncio.sleep(0, "elsewhere"))) == "elsewhere"

    def test_child(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """asyncio.create_subprocess_exec needs no change."""

        async def main() -> tuple[bytes, int | None]:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "print('hello'); raise SystemExit(7)", stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            return output.strip(), process.returncode

        assert run(main()) == (b"hello", 7)


class TestRun:
    def test_nested(self, policy: DefaultEventLoopPolicy) -> None:
        """Inside a running loop it is a RuntimeError, and nothing warns of a coroutine that was never awaited."""

        async def main() -> None:
            with pytest.raises(RuntimeError, match=r"governess\.run\(\) cannot be called from a running event loop"):
                governess.run(asyncio.sleep(0))

        governess.run(main())

    def test_nested_junk(self, policy: DefaultEventLoopPolicy) -> None:
        """Inside a running loop the error is the same for what is no coroutine."""

        async def main() -> None:
            with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
                governess.run(5)  # type: ignore[arg-type]

        governess.run(main())

    @pytest.mark.parametrize("junk", [5, None, asyncio.sleep])
    def test_junk(self, policy: DefaultEventLoopPolicy, junk: Any) -> None:
        """What is no coroutine raises what asyncio.run raises."""
        with pytest.raises((TypeError, ValueError)) as theirs:
            asyncio.run(junk)
        with pytest.raises(theirs.type) as ours:
            governess.run(junk)
        assert str(ours.value) == str(theirs.value)

    def test_factory_raises(self, policy: DefaultEventLoopPolicy) -> None:
        """What the loop factory raises comes out, and the current loop stays what it was."""
        current = policy.new_event_loop()
        policy.set_event_loop(current)

        def factory() -> AbstractEventLoop:
            raise OSError("no descriptors left")

        policy.set_factory(factory)
        main = running()
        with pytest.raises(OSError, match="no descriptors left"):
            governess.run(main)
        main.close()
        assert policy.get_event_loop() is current


class TestRunner:
    def test_is_asyncios(self) -> None:
        """It is an asyncio.Runner."""
        assert issubclass(governess.Runner, asyncio.Runner)

    def test_one_loop(self, policy: DefaultEventLoopPolicy) -> None:
        """Coroutines run one after the other in one loop, with one context."""
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

        async def put() -> AbstractEventLoop:
            variable.set("kept")
            return asyncio.get_running_loop()

        async def get() -> str:
            return variable.get()

        with governess.Runner() as runner:
            loop = runner.get_loop()
            assert policy.get_event_loop() is loop
            assert runner.run(put()) is loop
            assert runner.run(get()) == "kept"
            assert not loop.is_closed()
        assert loop.is_closed()

    def test_policy_of_the_first_need(self, policy: DefaultEventLoopPolicy, loop_factory: Any) -> None:
        """The policy is the one that is current on the first need, and no other is told at the end."""
        runner = governess.Runner()
        with DefaultEventLoopPolicy(loop_factory) as later, DefaultEventLoopPolicy() as latest:
            governess.set_event_loop_policy(later)
            loop = runner.get_loop()
            assert later.get_event_loop() is loop
            governess.set_event_loop_policy(latest)
            latest.set_event_loop(current := latest.new_event_loop())
            runner.close()
            assert latest.get_event_loop() is current
            with pytest.raises(RuntimeError, match="There is no current event loop"):
                later.get_event_loop()

    def test_not_used(self, policy: DefaultEventLoopPolicy) -> None:
        """A Runner that never ran makes no loop and changes nothing."""
        policy.set_event_loop(current := policy.new_event_loop())
        governess.Runner().close()
        assert policy.get_event_loop() is current

    def test_close_twice(self, policy: DefaultEventLoopPolicy) -> None:
        """A second close does nothing, not even to the loop that was set since."""
        runner = governess.Runner()
        runner.get_loop()
        runner.close()
        policy.set_event_loop(current := policy.new_event_loop())
        runner.close()
        assert policy.get_event_loop() is current

    def test_run_after_close(self, policy: DefaultEventLoopPolicy) -> None:
        """A closed Runner refuses to run, as asyncio's does."""
        runner = governess.Runner()
        runner.get_loop()
        runner.close()
        main = running()
        with pytest.raises(RuntimeError, match="Runner is closed"):
            runner.run(main)
        main.close()
