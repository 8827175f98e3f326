"""loop_factory="auto" and the other names, for run, Runner and every policy."""

import asyncio
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

import governess
from fresh import run_fresh
from governess import DefaultEventLoopPolicy
from governess.loops import choose_loop

pytestmark = pytest.mark.windows

POLICIES = [
    getattr(governess, name)
    for name in ("DefaultEventLoopPolicy", "MacOSEventLoopPolicy", "WindowsSelectorEventLoopPolicy")
    if hasattr(governess, name)
]


async def running() -> AbstractEventLoop:
    return asyncio.get_running_loop()


async def run_child() -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
    return await process.wait()


def run_in_runner(main: Any, **options: Any) -> Any:
    with governess.Runner(**options) as runner:
        return runner.run(main)


either = pytest.mark.parametrize("run", [governess.run, run_in_runner], ids=["run", "Runner"])


@either
class TestRun:
    def test_name(self, loop_name: str, loop_factory: Any, run: Any) -> None:
        """The loop is of the class that the name means."""
        assert isinstance(run(running(), loop_factory=loop_name), loop_factory)

    def test_auto(self, run: Any) -> None:
        """`auto` takes what choose_loop says."""
        assert isinstance(run(running(), loop_factory="auto"), choose_loop("auto").factory)  # type: ignore[arg-type]

    def test_children(self, loop_name: str, run: Any) -> None:
        """Its children are governess's."""
        seen: list[Any] = []
        with governess.observe(on_spawn=seen.append):
            assert run(run_child(), loop_factory=loop_name) == 7
        assert len(seen) == (0 if sys.platform == "win32" else 1)

    def test_current_loop(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """Meanwhile it is the current loop of the current policy; afterwards there is none."""

        async def main() -> bool:
            return policy._scope.get() is asyncio.get_running_loop()

        assert run(main(), loop_factory="asyncio")
        with pytest.raises(RuntimeError, match="no current event loop"):
            policy.get_event_loop()

    def test_unknown(self, run: Any) -> None:
        """A name that means nothing is a ValueError."""
        main = running()
        with pytest.raises(ValueError, match="the loop 'fastest' does not exist"):
            run(main, loop_factory="fastest")
        main.close()

    def test_no_factory(self, run: Any) -> None:
        """What is neither a callable nor a name is a TypeError."""
        main = running()
        with pytest.raises(TypeError, match="loop_factory is a callable or a name such as 'auto', not 3"):
            run(main, loop_factory=3)
        main.close()


@pytest.mark.parametrize("policy_class", POLICIES)
class TestPolicies:
    def test_name(self, policy_class: Any, loop_name: str, loop_factory: Callable[[], AbstractEventLoop]) -> None:
        """The policy makes loops of the class that the name means."""
        with policy_class(loop_factory=loop_name) as policy:
            assert isinstance(policy.new_event_loop(), loop_factory)  # type: ignore[arg-type]

    def test_unknown(self, policy_class: Any) -> None:
        """A name that means nothing is a ValueError."""
        with pytest.raises(ValueError, match="the loop 'fastest' does not exist"):
            policy_class(loop_factory="fastest")

    def test_no_factory(self, policy_class: Any) -> None:
        """What is neither a callable nor a name is a TypeError."""
        with pytest.raises(TypeError, match="loop_factory is a callable or a name such as 'auto', not 3"):
            policy_class(3)

    def test_only_the_factory_without_its_name(self, policy_class: Any) -> None:
        """Everything but the loop factory is given by keyword."""
        with pytest.raises(TypeError, match="positional argument"):
            policy_class(asyncio.SelectorEventLoop, None)

    def test_name_later(self, policy_class: Any, loop_name: str, loop_factory: Callable[[], AbstractEventLoop]) -> None:
        """`set_factory` takes a name, too."""
        with policy_class() as policy:
            policy.set_factory(loop_name)
            assert isinstance(policy.new_event_loop(), loop_factory)  # type: ignore[arg-type]


def test_auto_warns_nowhere() -> None:
    """A program that runs with loop_factory="auto" sees no warning, the import of uvloop included."""
    run_fresh(
        """
import asyncio, governess
governess.run(asyncio.sleep(0), loop_factory="auto")
with governess.DefaultEventLoopPolicy(loop_factory="auto") as policy:
    policy.new_event_loop()
"""
    )
