"""Whatever tasks do, the limit holds, and no task waits in vain for one of its own."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from governess import limited
from governess.loops._limited.limiter import Slot, SlotLimiter


class Task:
    """A task, as the rule sees it, and what is known of it."""

    def __init__(self, name: int, cause: "Task | None", limiter: SlotLimiter) -> None:
        self.name = name
        self.cause = cause
        self.state = "new"  # then: in line, runs, waits, ended
        self.awaits: Task | None = None
        self.slot = Slot(limiter, cause and cause.slot)
        self.slot.admit = self.admitted  # type: ignore[method-assign]

    def causes(self) -> "list[Task]":
        """The living tasks that have caused it, the nearest first."""
        found, cause = [], self.cause
        while cause is not None:
            if cause.state != "ended" and not cause.slot.is_exempt:
                found.append(cause)
            cause = cause.cause
        return found

    def admitted(self) -> None:
        if self.state == "in line":
            self.state = "runs"

    def __repr__(self) -> str:
        return f"{self.name} {self.state}"


class Rule(RuleBasedStateMachine):
    """Any sequence of steps that tasks can take, one task at a time."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.limiter = SlotLimiter(number)
        self.tasks: list[Task] = []

    def those(self, *states: str) -> list[Task]:
        return [task for task in self.tasks if task.state in states]

    @rule(data=st.data())
    def make(self, data: st.DataObject) -> None:
        """A task is caused by one that runs, or by a timer, a callback or a thread of one, which may have ended."""
        cause = data.draw(st.sampled_from([None, *self.those("runs", "waits", "ended")]))
        self.tasks.append(Task(len(self.tasks), cause, self.limiter))

    @precondition(lambda self: self.those("new"))
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.those("new")))
        task.slot.level = data.draw(st.sampled_from([0, 0, -20, 10]))
        task.state = "in line"
        if self.limiter.request(task.slot, task):
            task.state = "runs"

    @precondition(lambda self: self.those("runs"))
    @rule(data=st.data())
    def wait(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.those("runs")))
        task.state = "waits"
        task.awaits = data.draw(st.sampled_from([None, *(it for it in self.tasks if it is not task)]))
        self.limiter.suspend(task.slot, task.awaits)

    @precondition(lambda self: self.those("waits"))
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.those("waits")))
        task.state, task.awaits = "runs", None
        self.limiter.resume(task.slot)

    @precondition(lambda self: self.those("runs", "in line", "new"))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.those("runs", "in line", "new")))
        task.state = "ended"
        self.limiter.release(task.slot)

    @precondition(lambda self: self.those("new", "in line", "runs", "waits"))
    @rule(data=st.data())
    def exempt(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.those("new", "in line", "runs", "waits")))
        self.limiter.exempt(task.slot)

    @invariant()
    def no_place_is_taken_twice_or_lost(self) -> None:
        owners = [task for task in self.tasks if task.slot.is_acquired and task.slot._lender is None]
        assert len(owners) + self.limiter._free == self.number
        for task in self.tasks:
            if task.slot._lender is not None:
                assert task.slot.is_acquired
                assert task.slot in task.slot._lender._borrowers
                assert task.slot._lender.is_acquired

    @invariant()
    def no_place_is_free_while_somebody_waits_for_one(self) -> None:
        assert not (self.limiter._free and self.those("in line"))

    @invariant()
    def who_is_in_progress_has_a_place_or_needs_none(self) -> None:
        for task in self.those("runs", "waits"):
            assert task.slot.is_acquired or task.slot.is_exempt
        for task in self.those("new", "in line", "ended"):
            assert not task.slot.is_acquired

    @invariant()
    def nobody_is_stuck_behind_its_cause(self) -> None:
        """The slot of the living cause of a queued task is with another task that it has caused, or that it awaits."""
        for task in self.those("in line"):
            causes = task.causes()
            for cause in causes:
                assert not (cause.state == "waits" and cause.awaits is task)
            if causes and causes[0].state == "waits":
                slot = causes[0].slot
                while slot.waits and slot._borrowers:
                    awaited = [it for it in slot._borrowers if it._name is slot.awaits]
                    if not awaited:
                        break
                    slot = awaited[0]
                assert slot._borrowers or not slot.waits

    @invariant()
    def no_cause_is_kept_that_has_ended(self) -> None:
        """Where it has ended, a task has a living cause or none."""
        for task in self.those("ended"):
            assert task.slot._caused is None
            assert task.slot._name is None

    def teardown(self) -> None:
        """Let all end, in any order: nobody is left in line."""
        while left := self.those("new", "in line", "runs", "waits"):
            can_move = [task for task in left if task.state != "in line"]
            assert can_move
            task = can_move[-1]
            if task.state == "new":
                task.state = "in line"
                if self.limiter.request(task.slot, task):
                    task.state = "runs"
            else:
                task.state = "ended"
                self.limiter.release(task.slot)
        assert self.limiter._free == self.number


examples = pytest.mark.parametrize("examples", [25, pytest.param(400, marks=pytest.mark.slow)])


@examples
@pytest.mark.parametrize("number", [1, 2, 5])
def test_rule(number: int, examples: int) -> None:
    """Each place is somebody's, none is idle, and who waits lends its own."""
    run_state_machine_as_test(lambda: Rule(number), settings=settings(max_examples=examples, deadline=None))


@dataclass(frozen=True)
class Program:
    """What a task does: it makes tasks, and waits for them in some way."""

    made: tuple["Program", ...]
    how: str

    def size(self) -> int:
        return 1 + sum(it.size() for it in self.made)


HOW = ("gather", "group", "wait", "one by one", "last first", "cancel some", "leave")

PROGRAMS = st.recursive(
    st.builds(Program, st.just(()), st.sampled_from(["sleep", "nothing"])),
    lambda programs: st.builds(Program, st.lists(programs, max_size=4).map(tuple), st.sampled_from(HOW)),
    max_leaves=15,
)


class Life:
    """Runs programs, and counts."""

    def __init__(self) -> None:
        self.leaves = self.most = 0
        self.left: list[asyncio.Task] = []

    async def run(self, program: Program) -> None:
        if not program.made:
            await self.leaf(program.how)
        elif program.how == "group":
            async with asyncio.TaskGroup() as group:
                for it in program.made:
                    group.create_task(self.run(it))
        else:
            tasks = [asyncio.create_task(self.run(it)) for it in program.made]
            await getattr(self, program.how.replace(" ", "_"))(tasks)

    async def leaf(self, how: str) -> None:
        self.leaves += 1
        self.most = max(self.most, self.leaves)
        try:
            for _ in range(2 if how == "sleep" else 0):
                await asyncio.sleep(0)
        finally:
            self.leaves -= 1

    async def gather(self, tasks: list[asyncio.Task]) -> None:
        await asyncio.gather(*tasks)

    async def wait(self, tasks: list[asyncio.Task]) -> None:
        await asyncio.wait(tasks)

    async def one_by_one(self, tasks: list[asyncio.Task]) -> None:
        for task in tasks:
            await task

    async def last_first(self, tasks: list[asyncio.Task]) -> None:
        await self.one_by_one(tasks[::-1])

    async def cancel_some(self, tasks: list[asyncio.Task]) -> None:
        for round_, task in enumerate(tasks[::2]):
            for _ in range(round_):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def leave(self, tasks: list[asyncio.Task]) -> None:
        self.left += tasks


@examples
@pytest.mark.parametrize("max_tasks", [1, 2, 3])
def test_programs_end(loop_factory: Callable[[], AbstractEventLoop], max_tasks: int, examples: int) -> None:
    """Every program of tasks that make tasks and wait for them ends under the limit, as it does without one."""
    loop_class = limited(loop_factory, max_tasks)

    @settings(max_examples=examples, deadline=None)
    @given(PROGRAMS)
    def test(program: Program) -> None:
        life = Life()

        async def main() -> None:
            async with asyncio.timeout(10):
                await life.run(program)
                while life.left:
                    await asyncio.gather(life.left.pop(), return_exceptions=True)

        with asyncio.Runner(loop_factory=loop_class) as runner:
            runner.run(main())
        if "first" not in repr(program) and "one" not in repr(program):
            assert life.most <= max_tasks

    test()
