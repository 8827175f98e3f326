"""loop="auto" and the other names, for run, Runner and every policy."""

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
        assert isinstance(run(running(), loop=loop_name), loop_factory)

    def test_auto(self, run: Any) -> None:
        """`auto` takes what choose_loop says."""
        assert isinstance(run(running(), loop="auto"), choose_loop("auto").factory)  # type: ignore[arg-type]

    def test_children(self, loop_name: str, run: Any) -> None:
        """Its children are governess's."""
        seen: list[Any] = []
        with governess.observe(on_spawn=seen.append):
            assert run(run_child(), loop=loop_name) == 7
        assert len(seen) == (0 if sys.platform == "win32" else 1)

    def test_current_loop(self, policy: DefaultEventLoopPolicy, run: Any) -> None:
        """Meanwhile it is the current loop of the current policy; afterwards there is none."""

        async def main() -> bool:
            return policy._scope.get() is asyncio.get_running_loop()

        assert run(main(), loop="asyncio")
        with pytest.raises(RuntimeError, match="no current event loop"):
            policy.get_event_loop()

    def test_unknown(self, run: Any) -> None:
        """A name that means nothing is a ValueError."""
        main = running()
        with pytest.raises(ValueError, match="the loop 'fastest' does not exist"):
            run(main, loop="fastest")
        main.close()

    def test_both(self, run: Any) -> None:
        """A name and a factory together are a TypeError."""
        main = running()
        with pytest.raises(TypeError, match=r"by name .* or by factory"):
            run(main, loop="asyncio", loop_factory=asyncio.SelectorEventLoop)
        main.close()


@pytest.mark.parametrize("policy_class", POLICIES)
class TestPolicies:
    def test_name(self, policy_class: Any, loop_name: str, loop_factory: Callable[[], AbstractEventLoop]) -> None:
        """The policy makes loops of the class that the name means."""
        with policy_class(loop=loop_name) as policy:
            assert isinstance(policy.new_event_loop(), loop_factory)  # type: ignore[arg-type]

    def test_unknown(self, policy_class: Any) -> None:
        """A name that means nothing is a ValueError."""
        with pytest.raises(ValueError, match="the loop 'fastest' does not exist"):
            policy_class(loop="fastest")

    def test_both(self, policy_class: Any) -> None:
        """A name and a factory together are a TypeError."""
        with pytest.raises(TypeError, match=r"by name .* or by factory"):
            policy_class(asyncio.SelectorEventLoop, loop="asyncio")

    def test_no_name(self, policy_class: Any) -> None:
        """A factory given as a name is a TypeError that says where it belongs."""
        with pytest.raises(TypeError, match=r"loop is a name, such as 'auto', not .* given as loop_factory"):
            policy_class(loop=asyncio.SelectorEventLoop)


def test_auto_warns_nowhere() -> None:
    """A program that runs with loop="auto" sees no warning, the import of uvloop included."""
    run_fresh(
        """
import asyncio, governess
governess.run(asyncio.sleep(0), loop="auto")
with governess.DefaultEventLoopPolicy(loop="auto") as policy:
    policy.new_event_loop()
"""
    )
