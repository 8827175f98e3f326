"""Whatever is done with children, in whatever order: no hang, no lost exit, and nothing is left."""

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from governess import Exit, observe
from governess.children import Child, children
from governess.subprocess import Process, start
from loop_classes import LOOPS

#: What is started: each ends when its input does, or at TERM, or at KILL only; with and without others in its group.
SCRIPTS = (
    "exit 3",
    "cat",
    "sleep 60",
    "sleep 60 & exit 4",
    "cat & sleep 60 & cat",
    "trap '' TERM; cat; exit 5",
    "(trap '' TERM; while :; do sleep 1; done) & cat",
    "trap 'echo bye; exit 6' TERM; echo hello; while :; do sleep 0.02; done",
    "head -c 300000 /dev/zero; echo done >&2; exit 7",
    f"yes {'x' * 1000}",
)

#: The variable of the environment that tells whose children they are.
MARK = "GOVERNESS_ANY_ORDER"

#: More than any one step may take: the bounds of a block and a slow machine.
STEP = 30.0


class Keeper:
    """A child and the task whose block it lives in, which does what it is told."""

    def __init__(self, script: str, session: bool, merged: bool, mark: str) -> None:
        self.process: Process | None = None
        self.leave = asyncio.Event()
        self.entered = asyncio.Event()
        self.reading: asyncio.Task[Any] | None = None
        self._merged = merged
        self._mark = mark
        self.task = asyncio.create_task(self._live(script, session))
        self.task.add_done_callback(lambda _: self.entered.set())  # cancelled before its first step, it sets nothing

    async def _live(self, script: str, session: bool) -> None:
        bounds = {"grace": 0.05, "drain": 0.1, "kill_timeout": 10.0}
        options = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE, "session": session}
        options["env"] = os.environ | {MARK: self._mark}
        try:
            async with start("sh", "-c", script, self._mark, **options, **bounds) as self.process:
                self.entered.set()
                await self.leave.wait()
        finally:
            if self.reading is not None:
                self.reading.cancel()

    def read(self) -> None:
        assert self.process is not None
        if self.reading is None:
            self.reading = asyncio.create_task(self._read(self.process))

    async def _read(self, process: Process) -> None:
        with contextlib.suppress(RuntimeError):  # somebody has read by himself before
            async for _ in process.merged_lines() if self._merged else process.stdout.lines():
                pass


class Children(RuleBasedStateMachine):
    """Real children in a loop; a rule lets the loop run while it acts, and between rules it stands still."""

    keepers = Bundle("keepers")
    loop_name = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=LOOPS[self.loop_name])
        self.born: list[Child] = []
        self.ends: list[Child] = []
        self.lost: list[Child] = []
        self.held: set[int] = set()
        self.mark = f"{os.getpid()}.{time.monotonic_ns()}"
        self.watching = contextlib.ExitStack()
        self.watching.enter_context(observe(on_spawn=self.note_birth, on_exit=self.note_end))

    def note_block(self, keeper: Keeper) -> None:
        if keeper.process is not None:
            self.held.add(keeper.process.pid)

    def note_birth(self, child: Child) -> None:
        if self.mark in child.argv:  # else a thread was still at the cancelled start of an earlier machine's
            self.born.append(child)

    def note_end(self, child: Child, exit: Exit) -> None:
        if self.mark not in child.argv:
            return
        self.ends.append(child)
        if exit.lost:
            self.lost.append(child)

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(asyncio.wait_for(coroutine, STEP))

    @rule(target=keepers, script=st.sampled_from(SCRIPTS), session=st.booleans(), merged=st.booleans())
    def start(self, script: str, session: bool, merged: bool) -> Keeper:
        async def go() -> Keeper:
            keeper = Keeper(script, session, merged, self.mark)
            await keeper.entered.wait()
            self.note_block(keeper)
            return keeper

        return self.run(go())

    @rule(target=keepers, script=st.sampled_from(SCRIPTS), pause=st.sampled_from([0, 0.001, 0.003]))
    def start_and_cancel(self, script: str, pause: float) -> Keeper:
        """Cancelled somewhere in its start, or right after."""

        async def go() -> Keeper:
            keeper = Keeper(script, False, False, self.mark)
            await asyncio.sleep(pause)
            keeper.task.cancel()
            await keeper.entered.wait()
            self.note_block(keeper)
            return keeper

        return self.run(go())

    @rule(keeper=keepers, lines=st.sampled_from([0, 1, 100_000]))
    def write(self, keeper: Keeper, lines: int) -> None:
        async def go() -> None:
            if keeper.process is not None and not keeper.process.stdin.is_closing():
                keeper.process.stdin.write(lines * b"x\n")

        self.run(go())

    @rule(keeper=keepers)
    def end_input(self, keeper: Keeper) -> None:
        async def go() -> None:
            if keeper.process is not None:
                keeper.process._streams.feed()

        self.run(go())

    @rule(keeper=keepers)
    def read(self, keeper: Keeper) -> None:
        async def go() -> None:
            if keeper.process is not None and not keeper.task.done():
                keeper.read()
                await asyncio.sleep(0.002)

        self.run(go())

    @rule(keeper=keepers, number=st.sampled_from([signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT]))
    def send_signal(self, keeper: Keeper, number: int) -> None:
        async def go() -> None:
            if keeper.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    keeper.process.send_signal(number)

        self.run(go())

    @rule(keeper=keepers, number=st.sampled_from([signal.SIGTERM, signal.SIGKILL]))
    def signal_tree(self, keeper: Keeper, number: int) -> None:
        async def go() -> None:
            if keeper.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    keeper.process.signal_tree(number)

        self.run(go())

    @rule(keeper=keepers, seconds=st.sampled_from([0, 0.001, 0.02]))
    def wait_with_timeout(self, keeper: Keeper, seconds: float) -> None:
        async def go() -> None:
            if keeper.process is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(keeper.process.wait(), seconds)

        self.run(go())

    @rule(keeper=keepers)
    def poll(self, keeper: Keeper) -> None:
        if keeper.process is not None:
            exit = keeper.process.poll()
            assert exit is keeper.process.exit

    @rule(keeper=keepers)
    def close_reader(self, keeper: Keeper) -> None:
        async def go() -> None:
            if keeper.process is not None:
                keeper.process.stdout.close()

        self.run(go())

    @rule(keeper=keepers, times=st.integers(1, 4), pause=st.sampled_from([0, 0.001, 0.01]))
    def cancel(self, keeper: Keeper, times: int, pause: float) -> None:
        async def go() -> None:
            for _ in range(times):
                keeper.task.cancel()
                await asyncio.sleep(pause)

        self.run(go())

    @rule(keeper=consumes(keepers))
    def leave_and_wait(self, keeper: Keeper) -> None:
        async def go() -> None:
            keeper.leave.set()
            await asyncio.wait([keeper.task])

        self.run(go())

    @rule(keeper=keepers)
    def leave(self, keeper: Keeper) -> None:
        async def go() -> None:
            keeper.leave.set()
            await asyncio.sleep(0)

        self.run(go())

    @rule(keeper=consumes(keepers))
    def detach(self, keeper: Keeper) -> None:
        async def go() -> None:
            if keeper.process is not None and not keeper.task.done():
                self.held.discard(keeper.process.pid)
                keeper.process.detach()
                keeper.leave.set()
                await asyncio.wait([keeper.task])

        self.run(go())

    @invariant()
    def each_child_ends_once(self) -> None:
        assert len(set(self.ends)) == len(self.ends)
        assert self.lost == []

    def is_nobody_left(self) -> bool:
        """Look for those whom their blocks had to end; end those who were detached.

        And who was started by a child whose own start was cancelled: the block had not begun, and answers for nobody.
        """
        living = groups(self.mark)
        for group in living - self.held:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        return not living

    def teardown(self) -> None:
        try:
            self.runner.close()  # which cancels the tasks, so that their blocks end
            # A thread may still be at a cancelled start: its child is listed first, and told as born right after.
            wait_until(lambda: self.is_nobody_left() and children() == [] and len(self.ends) == len(self.born))
            assert set(self.ends) == set(self.born)
        finally:
            self.watching.close()


def groups(mark: str) -> set[int]:
    """The groups of the living processes that the machine with this mark has started, or that these have started."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it is gone, or has nothing to tell any more
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.add(os.getpgid(int(folder.name)))
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STEP
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _machine(loop: str) -> type[Children]:
    return type(f"ChildrenOn{loop.capitalize()}", (Children,), {"loop_name": loop})


#: How many share the time: all loops and ways to reach a group.
SHARES = 2 * len(LOOPS)


@pytest.mark.usefixtures("_reach")
# Of what a detached child has not read. uvloop, whose `close` fails where this is an error, says "resource".
@pytest.mark.filterwarnings("ignore:unclosed (transport|resource):ResourceWarning")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("steps", "examples", "seconds"),
    [
        pytest.param(12, 5, 3 / SHARES, id="some seconds"),
        pytest.param(30, 50, 600 / SHARES, id="ten minutes", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_any_order(loop: str, steps: int, examples: int, seconds: float) -> None:
    """Start, write, read, signal, cancel, time out, detach and leave, in any order."""
    some = settings(
        max_examples=examples,  # hypothesis begins each time with the simplest one
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # to make a failure smaller takes minutes, with real children
    )
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run_state_machine_as_test(_machine(loop), settings=some)
