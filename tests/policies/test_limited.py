"""LimitedEventLoopPolicy and `limited`: at most so many tasks in progress, and nobody waits for ever."""

import asyncio
import contextvars
import gc
import sys
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

import governess
from governess import LimitedEventLoopPolicy, limited

pytestmark = pytest.mark.windows

LoopFactory = Callable[[], AbstractEventLoop]
Main = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture
def run(loop_factory: LoopFactory) -> Callable[..., Any]:
    """Runs a coroutine function in a loop with so many limiter; what hangs is an error."""

    def run(main: Main, max_tasks: int = 2) -> Any:
        with LimitedEventLoopPolicy(loop_factory, max_tasks=max_tasks) as policy:
            return run_in(policy.loop_factory, main)

    return run


def run_in(loop_factory: LoopFactory, main: Main) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await main()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(bounded())


class Work:
    """Coroutines that tell when they start, and end when they are told."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.in_progress = 0
        self.most = 0
        self.may_end = asyncio.Event()

    async def __call__(self, name: Any, *, until: Awaitable[Any] | None = None) -> Any:
        self.started.append(name)
        self.in_progress += 1
        self.most = max(self.most, self.in_progress)
        try:
            await (self.may_end.wait() if until is None else until)
        finally:
            self.in_progress -= 1
        return name


async def rounds(count: int = 10) -> None:
    """Let everything happen that waits for nothing else."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_limit(run: Callable[..., Any]) -> None:
    """No more tasks start than there are limiter; the others start in order as limiter come free."""

    async def main() -> None:
        work = Work()
        tasks = [asyncio.create_task(work(number)) for number in range(7)]
        await rounds()
        assert work.started == [0, 1]
        work.may_end.set()
        assert await asyncio.gather(*tasks) == list(range(7))
        assert work.started == list(range(7))
        assert work.most == 2

    run(main)


def test_default_limit(loop_factory: LoopFactory) -> None:
    """Ten tasks are in progress where nobody says how many."""

    async def main() -> int:
        work = Work()
        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(work(number, until=rounds(3)))
        return work.most

    with LimitedEventLoopPolicy(loop_factory) as policy:
        assert run_in(policy.loop_factory, main) == 10
    assert run_in(limited(loop_factory), main) == 10


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_an_error_frees_the_place(run: Callable[..., Any], error: type[BaseException]) -> None:
    """A task that fails, or ends itself cancelled, leaves its place like any other."""

    async def fail() -> None:
        raise error

    async def main() -> list[Any]:
        return await asyncio.gather(*(asyncio.create_task(fail()) for _ in range(5)), return_exceptions=True)

    assert [type(outcome) for outcome in run(main)] == [error] * 5


def test_cancelled_in_progress(run: Callable[..., Any]) -> None:
    """A task that is cancelled leaves its place when it has ended, not before."""

    async def main() -> None:
        work = Work()

        async def slow_to_end() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await work.may_end.wait()

        first = asyncio.create_task(slow_to_end())
        second = asyncio.create_task(work("second"))
        await rounds()
        first.cancel()
        await rounds()
        assert work.started == []
        work.may_end.set()
        assert await second == "second"
        assert first.cancelled()

    run(main, 1)


def test_cancelled_in_line(run: Callable[..., Any]) -> None:
    """Cancelled before it has a place, a task ends at once, without a step of its coroutine and without a warning."""

    async def main() -> None:
        work = Work()
        tasks = [asyncio.create_task(work(number)) for number in range(4)]
        await rounds()
        tasks[1].cancel()
        tasks[2].cancel("no more")
        with pytest.raises(asyncio.CancelledError, match="no more"):
            await tasks[2]
        assert tasks[1].cancelled()
        work.may_end.set()
        assert await tasks[3] == 3
        assert work.started == [0, 3]

    run(main, 1)
    gc.collect()


def test_cancelled_at_birth(run: Callable[..., Any]) -> None:
    """Cancelled before its first round, it never starts either, and takes no place."""

    async def main() -> None:
        work = Work()
        never = asyncio.create_task(work("never"))
        never.cancel()
        work.may_end.set()
        assert await asyncio.create_task(work("next")) == "next"
        assert never.cancelled()
        assert work.started == ["next"]

    run(main, 1)


def test_cancelled_at_the_door(run: Callable[..., Any]) -> None:
    """Cancelled when it has just got its place, a task passes it on."""

    async def main() -> None:
        work = Work()

        async def cancel_who_is_next() -> None:
            await rounds()
            # By the time that this is called, the next one has been let in, and has not yet come.
            asyncio.get_running_loop().call_soon(second.cancel)

        asyncio.create_task(work("first", until=cancel_who_is_next()))  # noqa: RUF006
        second, third = asyncio.create_task(work("second")), asyncio.create_task(work("third"))
        work.may_end.set()
        assert await third == "third"
        assert second.cancelled()
        assert work.started == ["first", "third"]

    run(main, 1)


def test_timeout_in_line(run: Callable[..., Any]) -> None:
    """A timeout ends a task that stands in line."""

    async def main() -> None:
        work = Work()
        busy = asyncio.create_task(work("busy"))
        await rounds()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.create_task(work("late")), 0.01)
        work.may_end.set()
        await busy
        assert work.started == ["busy"]

    run(main, 1)


def test_looks(run: Callable[..., Any]) -> None:
    """In line and in progress, a task has its name, its coroutine's name and frame, and is among all tasks."""

    async def main() -> None:
        work = Work()
        seen = []

        async def look() -> None:
            seen.append(asyncio.current_task())
            await work.may_end.wait()

        tasks = [asyncio.create_task(look(), name=f"look {number}") for number in range(2)]
        await rounds()
        assert seen == tasks[:1]
        assert asyncio.all_tasks() == {*tasks, asyncio.current_task()}
        for number, task in enumerate(tasks):
            assert task.get_name() == f"look {number}"
            assert "look() running at" in repr(task)
            assert [frame.f_code.co_name for frame in task.get_stack()] == ["look"]
            coroutine = task.get_coro()
            assert asyncio.iscoroutine(coroutine)
            assert coroutine.__qualname__.endswith("look")
            assert repr(coroutine).startswith("<coroutine object")
        work.may_end.set()
        await asyncio.gather(*tasks)
        assert seen == tasks

    run(main, 1)


def test_context(run: Callable[..., Any]) -> None:
    """A task runs in the context that it was given, or in a copy of its maker's as it was then."""
    variable = contextvars.ContextVar("variable", default="unset")

    async def main() -> None:
        async def read() -> str:
            return variable.get()

        given = contextvars.Context()
        given.run(variable.set, "given")
        variable.set("made here")
        tasks = [asyncio.create_task(read()), asyncio.create_task(read(), context=given), asyncio.create_task(read())]
        variable.set("changed since")
        assert await asyncio.gather(*tasks) == ["made here", "given", "made here"]

    run(main, 1)


def test_main_needs_no_place(loop_factory: LoopFactory) -> None:
    """What `run_until_complete` runs starts at once: a coroutine, an awaitable, a task, one in line."""

    class Answer:
        def __await__(self) -> Any:
            return asyncio.sleep(0, "answer").__await__()

    loop = limited(loop_factory, 1)()
    try:
        for_ever = loop.create_task(asyncio.Event().wait())
        assert loop.run_until_complete(asyncio.sleep(0, "coroutine")) == "coroutine"
        assert loop.run_until_complete(Answer()) == "answer"
        assert loop.run_until_complete(loop.create_task(asyncio.sleep(0, "task"))) == "task"
        in_line = loop.create_task(asyncio.sleep(0, "in line"))
        loop.run_until_complete(rounds())
        assert not in_line.done()
        assert loop.run_until_complete(in_line) == "in line"
        for_ever.cancel()
        loop.run_until_complete(rounds())
    finally:
        loop.close()


def test_main_gives_its_place_back(loop_factory: LoopFactory) -> None:
    """A task in progress that becomes the main one leaves its place to the next."""
    loop = limited(loop_factory, 1)()
    try:
        go = asyncio.Event()
        first, second = loop.create_task(go.wait()), loop.create_task(asyncio.sleep(0))
        second.add_done_callback(lambda _: go.set())
        loop.run_until_complete(rounds())
        assert not second.done()
        assert loop.run_until_complete(first)
        assert second.done()
    finally:
        loop.close()


def test_made_outside(loop_factory: LoopFactory) -> None:
    """Tasks made before the loop runs are limited like others."""
    loop = limited(loop_factory, 2)()
    try:
        work = Work()
        tasks = [loop.create_task(work(number, until=rounds(3))) for number in range(6)]

        async def main() -> None:
            await asyncio.gather(*tasks)

        loop.run_until_complete(main())
        assert work.most == 2
    finally:
        loop.close()


def test_nested_gather(run: Callable[..., Any]) -> None:
    """Tasks in tasks in tasks end with a single place, whose holder is one that waits for no other."""

    async def main() -> None:
        work = Work()

        async def tree(depth: int) -> int:
            if depth == 0:
                return await work(1, until=rounds(2))
            return sum(await asyncio.gather(*(asyncio.create_task(tree(depth - 1)) for _ in range(3))))

        assert await tree(4) == 81
        assert work.most == 1

    run(main, 1)


def test_nested_groups(run: Callable[..., Any]) -> None:
    """A TaskGroup in each task of a TaskGroup ends too, and keeps the limit."""

    async def main() -> None:
        work = Work()

        async def inner(number: int) -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(work(number, until=rounds(3)))

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(inner(number))
        assert len(work.started) == 15
        assert work.most == 3

    run(main, 3)


def test_a_long_line_of_makers(run: Callable[..., Any]) -> None:
    """Each makes the next and waits for it: one place serves them all."""

    async def main() -> int:
        async def count(rest: int) -> int:
            return 1 + await asyncio.create_task(count(rest - 1)) if rest else 0

        return await asyncio.create_task(count(100))

    assert run(main, 1) == 100


def test_a_task_of_its_own_that_never_ends(run: Callable[..., Any]) -> None:
    """A task that awaits one of its own gets it, even if another of its own has borrowed its place for ever."""

    async def main() -> str:
        async def parent() -> str:
            for_ever = asyncio.create_task(asyncio.Event().wait())
            await rounds()
            answer = await asyncio.create_task(asyncio.sleep(0, "answer"))
            for_ever.cancel()
            return answer

        return await asyncio.create_task(parent())

    assert run(main, 1) == "answer"


def test_makers_go_before_strangers(run: Callable[..., Any]) -> None:
    """The place of a task that waits goes to its own tasks, not to those that stand in line before them."""

    async def main() -> None:
        started = []

        async def work(name: str) -> None:
            started.append(name)
            await rounds(2)

        async def parent(name: str) -> None:
            started.append(name)
            await asyncio.gather(*(asyncio.create_task(work(f"{name}{number}")) for number in range(2)))

        await asyncio.gather(*(asyncio.create_task(parent(name)) for name in "ab"))
        assert started == ["a", "a0", "a1", "b", "b0", "b1"]

    run(main, 1)


def test_the_maker_ends_first(run: Callable[..., Any]) -> None:
    """A task that outlives its maker keeps the place that it has borrowed; what stands in line still gets one."""

    async def main() -> None:
        work = Work()
        made = []

        async def parent() -> None:
            made.extend(asyncio.create_task(work(number)) for number in range(3))
            await rounds(3)

        await asyncio.create_task(parent())
        stranger = asyncio.create_task(work("stranger"))
        await rounds()
        assert work.started == [0]
        work.may_end.set()
        await asyncio.gather(stranger, *made)
        assert work.started == [0, 1, 2, "stranger"]
        assert work.most == 1

    run(main, 1)


def test_loops_are_apart(loop_factory: LoopFactory) -> None:
    """Each loop has its own limiter."""
    with LimitedEventLoopPolicy(loop_factory, max_tasks=1) as policy:
        first, second = policy.new_event_loop(), policy.new_event_loop()
        first.create_task(asyncio.Event().wait())
        first.run_until_complete(rounds())
        assert second.run_until_complete(_in_a_task()) == "done"
        for task in asyncio.all_tasks(first):
            task.cancel()
        first.run_until_complete(rounds())


async def _in_a_task() -> str:
    return await asyncio.create_task(asyncio.sleep(0, "done"))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks(run: Callable[..., Any]) -> None:
    """An eager task takes its first step where it is made if there is a place, and else when there is one."""

    async def main() -> None:
        # Not asyncio.eager_task_factory, which uvloop 0.23 calls with an argument that it does not have.
        asyncio.get_running_loop().set_task_factory(
            lambda loop, coroutine, **options: asyncio.Task(coroutine, loop=loop, **{**options, "eager_start": True})
        )
        work = Work()
        first = asyncio.create_task(work("first"))
        second = asyncio.create_task(work("second"))
        assert work.started == ["first"]
        work.may_end.set()
        assert await asyncio.gather(first, second) == ["first", "second"]
        at_once = asyncio.create_task(asyncio.sleep(-1, "at once"))
        assert at_once.done() or await at_once == "at once"
        assert await asyncio.create_task(_in_a_task()) == "done"

    run(main, 1)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="eager_start came with 3.14")
def test_eager_start(run: Callable[..., Any]) -> None:
    """The same for one task alone."""

    async def main() -> None:
        work = Work()
        loop = asyncio.get_running_loop()
        first = loop.create_task(work("first"), eager_start=True)
        second = loop.create_task(work("second"), eager_start=True)
        assert work.started == ["first"]
        work.may_end.set()
        assert await asyncio.gather(first, second) == ["first", "second"]

    run(main, 1)


def test_task_factory(run: Callable[..., Any]) -> None:
    """A task factory gets what looks like the coroutine, and its tasks are limited."""

    class Task(asyncio.Task):
        pass

    async def main() -> None:
        names = []

        def factory(loop: AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task:
            names.append(coroutine.__name__)
            return Task(coroutine, loop=loop, **options)

        asyncio.get_running_loop().set_task_factory(factory)
        work = Work()
        tasks = [asyncio.create_task(work("one")), asyncio.create_task(work("two"))]
        await rounds()
        assert work.started == ["one"]
        work.may_end.set()
        await asyncio.gather(*tasks)
        assert all(type(task) is Task for task in tasks)
        assert names == ["__call__", "__call__"]

    run(main, 1)


def test_interrupted(loop_factory: LoopFactory) -> None:
    """A task that a KeyboardInterrupt ends leaves its place too."""

    async def interrupt() -> None:
        raise KeyboardInterrupt

    loop = limited(loop_factory, 1)()
    try:
        task = loop.create_task(interrupt())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(rounds())
        with pytest.raises(KeyboardInterrupt):
            task.result()
        assert loop.run_until_complete(_in_a_task()) == "done"
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(rounds())
        loop.close()


def test_not_a_coroutine(run: Callable[..., Any]) -> None:
    """What asyncio's loops refuse is refused in the same words."""

    async def main() -> None:
        with pytest.raises(TypeError, match="a coroutine was expected"):
            asyncio.get_running_loop().create_task(5)  # type: ignore[arg-type]

    run(main)


def test_nothing_is_kept(run: Callable[..., Any]) -> None:
    """When tasks have ended, in progress or in line, nothing of them is left."""

    class Thing:
        pass

    async def main() -> list[weakref.ref[Thing]]:
        async def work(thing: Thing) -> None:
            await asyncio.create_task(rounds(2))

        things = [Thing() for _ in range(6)]
        left = [weakref.ref(thing) for thing in things]
        tasks = [asyncio.create_task(work(thing)) for thing in things]
        del things
        await rounds(1)
        tasks[-1].cancel()
        await asyncio.wait(tasks)
        del tasks
        await rounds(2)
        gc.collect()
        return [it for it in left if it() is not None]

    assert run(main) == []


@pytest.mark.parametrize(("max_tasks", "error"), [(0, ValueError), ("2", TypeError), (1.5, TypeError)])
def test_bad_limit(loop_factory: LoopFactory, max_tasks: Any, error: type[Exception]) -> None:
    """A limit that nothing can start under, or that is no number, is refused at once."""
    with pytest.raises(error, match="max_tasks"):
        limited(loop_factory, max_tasks)
    with pytest.raises(error, match="max_tasks"):
        LimitedEventLoopPolicy(max_tasks=max_tasks)


def test_class(loop_factory: type[AbstractEventLoop]) -> None:
    """The same class and limit give the same subclass; limited again, the last limit holds."""
    assert limited(loop_factory, 3) is limited(loop_factory, 3)
    assert issubclass(limited(loop_factory, 3), loop_factory)
    assert limited(limited(loop_factory, 3), 5).max_tasks == 5
    assert limited(loop_factory).__name__ == loop_factory.__name__


def test_closed_loop(loop_factory: LoopFactory) -> None:
    """A closed loop makes no tasks."""
    loop = limited(loop_factory)()
    loop.close()
    coroutine = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="closed"):
        loop.create_task(coroutine)
    coroutine.close()


def test_left_behind(run: Callable[..., Any]) -> None:
    """What a runner finds in progress and in line when its main task ends, it cancels without a warning."""
    work: list[Work] = []

    async def main() -> list[asyncio.Task]:
        work.append(Work())
        tasks = [asyncio.create_task(work[0](number)) for number in range(5)]
        await rounds()
        return tasks

    assert all(task.cancelled() for task in run(main))
    assert work[0].started == [0, 1]
    gc.collect()


def test_anyio(loop_factory: LoopFactory) -> None:
    """anyio's task groups and cancel scopes work, for tasks in line too, and without a warning."""
    anyio = pytest.importorskip("anyio")
    started = []

    async def main() -> None:
        with anyio.move_on_after(0.02) as scope:
            async with anyio.create_task_group() as group:
                for number in range(5):
                    group.start_soon(work, number)
        assert scope.cancelled_caught

    async def work(number: int) -> None:
        started.append(number)
        await anyio.sleep_forever()

    anyio.run(main, backend_options={"loop_factory": limited(loop_factory, 2)})
    gc.collect()
    assert started[:2] == [0, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="asks for sh")
def test_children(loop_factory: LoopFactory) -> None:
    """Children start and end in a loop whose one place is taken."""

    async def main() -> int:
        async def child() -> int:
            process = await asyncio.create_subprocess_exec("sh", "-c", "exit 1")
            return await process.wait()

        return sum(await asyncio.gather(*(asyncio.create_task(child()) for _ in range(5))))

    with governess.LimitedEventLoopPolicy(loop_factory, max_tasks=1) as policy:
        assert run_in(policy.loop_factory, main) == 5
