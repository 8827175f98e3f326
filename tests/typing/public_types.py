"""The public types, pinned: mypy and pyright check this file, nothing runs it."""

import asyncio
import subprocess
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import Future
from signal import Signals
from typing import Any, assert_type

import governess
from governess import (
    AbstractChildWatcher,
    AbstractEventLoopPolicy,
    DefaultEventLoopPolicy,
    Exit,
    LimitedEventLoopPolicy,
    PriorityEventLoopPolicy,
)
from governess.children import children
from governess.loops import LoopChoice, available_loops, choose_loop
from governess.policies import ContextScope, ProcessScope, Scope, ThreadScope
from governess.services import Change, CopyStatus, Service, ServiceEvent, State, Supervisor, Tcp

assert_type(governess.__version__, str)


async def answer() -> int:
    return 42


async def double(text: str) -> int:
    return 2 * int(text)


def one_loop() -> AbstractEventLoop:
    return asyncio.SelectorEventLoop()


# Which policy is current, and the functions that ask it.

assert_type(governess.get_event_loop_policy(), AbstractEventLoopPolicy)
governess.set_event_loop_policy(DefaultEventLoopPolicy())
governess.set_event_loop_policy(None)
governess.set_event_loop_policy(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

assert_type(governess.get_event_loop(), AbstractEventLoop)
assert_type(governess.new_event_loop(), AbstractEventLoop)
governess.set_event_loop(one_loop())
governess.set_event_loop(None)
governess.set_event_loop(object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

assert_type(governess.get_child_watcher(), AbstractChildWatcher)
governess.set_child_watcher(governess.get_child_watcher())
governess.set_child_watcher(None)


# Running a coroutine.

assert_type(governess.run(answer()), int)
assert_type(governess.run(answer(), debug=True, loop_factory=one_loop), int)
governess.run(answer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with governess.Runner(debug=None, loop_factory=asyncio.SelectorEventLoop) as runner:
    assert_type(runner.run(answer()), int)
    assert_type(runner.get_loop(), AbstractEventLoop)


# The default policy.

DefaultEventLoopPolicy(asyncio.SelectorEventLoop, scope=ThreadScope(), watcher=None)
DefaultEventLoopPolicy(loop_factory=one_loop, scope=None, watcher=governess.get_child_watcher)
DefaultEventLoopPolicy(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with DefaultEventLoopPolicy() as policy:
    assert_type(policy, DefaultEventLoopPolicy)
    assert_type(policy.get_event_loop(), AbstractEventLoop)
    assert_type(policy.new_event_loop(), AbstractEventLoop)
    assert_type(policy.loop_factory, Callable[[], AbstractEventLoop])
    assert_type(policy.get_child_watcher(), AbstractChildWatcher)
    policy.set_factory(asyncio.SelectorEventLoop)
    policy.set_factory(None)
    policy.loop_factory = one_loop  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# Policies and loop classes that do something else.

LimitedEventLoopPolicy(asyncio.SelectorEventLoop, scope=ThreadScope(), watcher=None, max_tasks=3)
LimitedEventLoopPolicy(max_tasks="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with LimitedEventLoopPolicy(max_tasks=3) as limited_policy:
    assert_type(limited_policy.new_event_loop(), AbstractEventLoop)

with PriorityEventLoopPolicy(one_loop) as priority_policy, governess.priority(-5) as nothing:
    assert_type(priority_policy.new_event_loop(), AbstractEventLoop)
    assert_type(nothing, None)

assert_type(governess.limited(asyncio.SelectorEventLoop, max_tasks=3), type[asyncio.SelectorEventLoop])
assert_type(governess.prioritized(governess.limited(asyncio.SelectorEventLoop)), type[asyncio.SelectorEventLoop])
governess.priority("high")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class MyPolicy(DefaultEventLoopPolicy):
    """As asyncio's documentation shows it."""

    _loop_factory = asyncio.SelectorEventLoop

    def get_event_loop(self) -> AbstractEventLoop:
        return super().get_event_loop()

    def set_event_loop(self, loop: AbstractEventLoop | None) -> None:
        super().set_event_loop(loop)


with MyPolicy() as mine:
    assert_type(mine, MyPolicy)


class MyScope:
    """A scope needs no base class."""

    def get(self) -> AbstractEventLoop | None:
        return None

    def set(self, loop: AbstractEventLoop | None) -> None:
        pass

    def may_create(self) -> bool:
        return False

    def describe(self) -> str:
        return "my context"


scope: Scope = MyScope()
DefaultEventLoopPolicy(scope=MyScope())
DefaultEventLoopPolicy(scope=object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# One loop for all, a thread for each, a loop for a context.

with governess.SharedEventLoopPolicy(asyncio.SelectorEventLoop, watcher=None) as shared:
    assert_type(shared, governess.SharedEventLoopPolicy)
    assert_type(shared.call(answer()), int)
    assert_type(shared.submit(answer()), Future[int])
    shared.call(answer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with governess.ThreadedEventLoopPolicy(one_loop, threads=2, scope=ThreadScope()) as in_threads:
    assert_type(in_threads, governess.ThreadedEventLoopPolicy)
    assert_type(in_threads.map(double, ["1", "2"]), list[int])
    assert_type(in_threads.map(double, ["1"], at_once=5), list[int])
    in_threads.map(double, [1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with governess.ContextEventLoopPolicy(one_loop, watcher=governess.get_child_watcher) as in_contexts:
    assert_type(in_contexts, governess.ContextEventLoopPolicy)
DefaultEventLoopPolicy(scope=ContextScope())
DefaultEventLoopPolicy(scope=ProcessScope())
assert_type(governess.threaded(asyncio.SelectorEventLoop), type[asyncio.SelectorEventLoop])


# The name of a loop.

assert_type(governess.run(answer(), loop_factory="auto"), int)
governess.Runner(loop_factory="uvloop")
DefaultEventLoopPolicy(loop_factory="asyncio")
governess.SharedEventLoopPolicy(loop_factory="auto")
governess.ThreadedEventLoopPolicy(loop_factory="auto")
governess.ContextEventLoopPolicy(loop_factory="auto")
DefaultEventLoopPolicy(loop_factory=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

assert_type(choose_loop(), LoopChoice)
assert_type(choose_loop("uvloop").name, str)
assert_type(choose_loop("uvloop").factory, Callable[[], AbstractEventLoop])
assert_type(choose_loop("uvloop").reason, str)
assert_type(available_loops(), tuple[str, ...])


# How a child ended.

exit = Exit(-9, core_dumped=True)
returncode: int = exit
assert_type(exit.signal, Signals | int | None)
assert_type(exit.core_dumped, bool)
assert_type(exit.lost, bool)
assert_type(exit.describe(), str)
assert_type(Exit.unknown(), Exit)
assert_type(Exit.from_status(0), Exit)

with governess.observe() as nothing:
    assert_type(nothing, None)


class MyWatcher(AbstractChildWatcher):
    """A user's own watcher, with asyncio's verbs alone."""

    def attach_loop(self, loop: AbstractEventLoop | None) -> None:
        pass

    def is_active(self) -> bool:
        return True

    def close(self) -> None:
        pass


def on_exit(pid: int, returncode: int, name: str, times: int) -> None: ...


with MyWatcher() as watcher:
    assert_type(watcher, MyWatcher)
    watcher.add_child_handler(1, on_exit, "name", 2)
    watcher.add_child_handler(1, on_exit, "name")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(watcher.remove_child_handler(1), bool)
governess.set_child_watcher(watcher)


# asyncio's names under a governess loop stay asyncio's.


async def asyncio_names() -> None:
    process = await asyncio.create_subprocess_exec("true", stdout=subprocess.PIPE)
    assert_type(process, asyncio.subprocess.Process)
    assert_type(await process.wait(), int)


if sys.platform == "win32":
    assert_type(governess.WindowsSelectorEventLoopPolicy().new_event_loop(), AbstractEventLoop)
    assert_type(governess.WindowsProactorEventLoopPolicy().new_event_loop(), AbstractEventLoop)
else:
    import resource

    from governess import Child
    from governess.watchers import WatcherChoice, choose_watcher

    assert_type(exit.rusage, resource.struct_rusage | Any)

    assert_type(children(), list[Child])
    for child in children():
        assert_type(child.pid, int)
        assert_type(child.argv, tuple[Any, ...])
        assert_type(child.started, float)
        assert_type(child.adopted, bool)
        assert_type(child.exit, Exit | None)
        assert_type(child.pidfd, int | None)
        assert_type(child.reap(), Exit | None)
        assert_type(child.signal(15), None)
        assert_type(child.terminate(), None)
        assert_type(child.kill(), None)
        assert_type(child.wait_for_exit(1.5), bool)

    def on_spawn(child: Child) -> None: ...
    def on_death(child: Child, exit: Exit) -> None: ...

    with governess.observe(on_spawn=on_spawn, on_exit=on_death):
        pass

    class Special(asyncio.SelectorEventLoop):
        """A loop class of somebody's own."""

    assert_type(governess.watched(Special), type[Special])
    assert_type(governess.watched(Special)(), Special)
    governess.watched(int)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    plain: asyncio.SelectorEventLoop = governess.SelectorEventLoop()
    DefaultEventLoopPolicy(governess.SelectorEventLoop)
    DefaultEventLoopPolicy(governess.watched(Special), watcher=governess.SafeChildWatcher)

    for made in (
        governess.FastChildWatcher(),
        governess.KqueueChildWatcher(),
        governess.MultiLoopChildWatcher(),
        governess.PidfdChildWatcher(),
        governess.SafeChildWatcher(),
        governess.ThreadedChildWatcher(),
    ):
        abstract: AbstractChildWatcher = made
        assert_type(made.is_active(), bool)

    with governess.PidfdChildWatcher() as pidfd:
        assert_type(pidfd, governess.PidfdChildWatcher)

    with governess.MacOSEventLoopPolicy(one_loop) as macos:
        assert_type(macos, governess.MacOSEventLoopPolicy)

    assert_type(choose_watcher(), WatcherChoice)
    assert_type(choose_watcher().reason, str)
    DefaultEventLoopPolicy(watcher=choose_watcher().factory)
    DefaultEventLoopPolicy(watcher=choose_watcher("pidfd").factory)

    # Children as people need them: bytes or text as the encoding says.

    from governess.subprocess import (
        PIPE,
        Completed,
        Line,
        Process,
        ProcessError,
        ProcessTimeout,
        Reader,
        Usage,
        create_subprocess_exec,
        create_subprocess_shell,
    )
    from governess.subprocess import run as run_program
    from governess.subprocess import start as start_program

    async def programs() -> None:
        assert_type(await run_program("true"), Completed[bytes])
        assert_type(await run_program("true", encoding=None, check=True), Completed[bytes])
        assert_type(await run_program("cat", input="text", encoding="utf-8", timeout=5), Completed[str])
        assert_type(await run_program("true", capture=False), Completed[None])
        assert_type((await run_program("true")).stdout, bytes)
        assert_type((await run_program("true", encoding="utf-8")).stderr, str)
        assert_type((await run_program("true")).exit, Exit)
        assert_type((await run_program("true")).rusage, resource.struct_rusage | Any)
        await run_program("cat", input=b"", encoding="utf-8")  # type: ignore[call-overload]  # pyright: ignore
        await run_program("cat", input="")  # type: ignore[call-overload]  # pyright: ignore

        await run_program("true", cwdd=4)  # type: ignore[call-overload]  # pyright: ignore
        await run_program("true", shell=True)  # type: ignore[call-overload]  # pyright: ignore
        await run_program("true", grace="no")  # type: ignore[call-overload]  # pyright: ignore
        start_program("true", cwdd=4)  # type: ignore[call-arg]  # pyright: ignore
        cmd("true", shell=True)  # type: ignore[call-arg]  # pyright: ignore
        ProcessPool(1).start("true", grace="no")  # type: ignore[arg-type]  # pyright: ignore
        await create_subprocess_exec("true", cwdd=4)  # type: ignore[call-arg]  # pyright: ignore
        assert_type(await run_program(["echo", "a"], cwd="/", env={"A": "b"}, capture_output=True), Completed[bytes])

        process = await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        assert_type(process, Process)
        asyncios: list[asyncio.subprocess.Process] = [await create_subprocess_shell("true")]
        assert asyncios
        assert_type(process.stdout, Reader | Any)
        assert_type(process.stdin, asyncio.StreamWriter | Any)
        assert_type(process.exit, Exit | Any)
        assert_type(await process.wait(), Exit)
        assert_type(process.poll(), Exit | None)
        assert_type(await process.end(grace=1.5), Exit | None)
        assert_type(process.usage(), Usage)
        reader: Reader = process.stdout
        async for line in reader.lines():
            assert_type(line, bytes)
        async for text in reader.lines("utf-8"):
            assert_type(text, str)
        async for merged in process.merged_lines():
            assert_type(merged, Line[bytes])
        async for merged_text in process.merged_lines("utf-8", errors="replace"):
            assert_type(merged_text.text, str)

        async with start_program("sleep", "60", stdout=PIPE, session=True, grace=1, umask=0o77) as started:
            assert_type(started, Process)
            assert_type(started.detach(), None)

        try:
            await run_program("false", check=True)
        except ProcessError as error:
            errors: list[subprocess.CalledProcessError] = [error]
            assert errors
            assert_type(error.exit, Exit)
        except ProcessTimeout as late:
            timeouts: list[TimeoutError] = [late]
            assert timeouts
            assert_type(late.exit, Exit | Any)

    from governess.files import FileWatcher
    from governess.subprocess import (
        Cmd,
        CompletedPipeline,
        Limits,
        Pipeline,
        PipelineProcess,
        PoolResult,
        ProcessPool,
        cmd,
        pipeline,
        reap_orphans,
        watch,
    )

    async def many_programs() -> None:
        assert_type(cmd("ls") | ["cat"], Pipeline)
        assert_type(["ls"] | cmd("cat"), Pipeline)
        line = pipeline(["ls"], cmd("cat", cwd="/")) | cmd("wc")
        assert_type(await line.run(), CompletedPipeline[bytes])
        assert_type((await line.run(encoding="utf-8", input="")).stdout, str)
        assert_type((await line.run(capture=False, grace=1)).stdout, None)
        assert_type((await line.run()).exits, tuple[Exit, ...])
        async with line.start(stdout=PIPE) as flow:
            assert_type(flow, PipelineProcess)
            assert_type(flow.stdout, Reader | Any)
            assert_type(await flow.wait(), Exit)

        async with ProcessPool(max_children=2) as pool:
            async with pool.start("true", limits=Limits(memory=1 << 30, nice=1), die_with_parent=True) as pooled:
                assert_type(pooled, Process)
            assert_type(await pool.run("true", timeout=None), Completed[bytes])
            assert_type(await pool.run("true", encoding="utf-8"), Completed[str])
            async for result in pool.map([["true"]], ordered=False, check=True):
                assert_type(result, PoolResult[list[str], Completed[bytes]])
            async for command, completed in pool.map([cmd("true")], encoding="utf-8"):
                assert_type(command, Cmd)
                assert_type(completed, Completed[str])
            async for _, either in pool.map([("true",)], encoding="utf-8", return_exceptions=True):
                assert_type(either, Completed[Any] | Any)
            pool.map([1])  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]

        assert_type(await watch(1, reap=False, reap_timeout=0.5), Exit)

    def on_orphan(pid: int, exit: Exit) -> None: ...

    with reap_orphans(interval=0.5, on_exit=on_orphan):
        pass

    def on_change(path: object, changes: set[Any], number: int) -> None: ...

    with FileWatcher(recursive=False) as files:
        files.add_handler("here", on_change, 5)
        files.add_handler("here", on_change, "5")  # type: ignore[arg-type]  # pyright: ignore
        assert_type(files.remove_handler("here"), bool)


# Services.
async def services() -> None:
    web = Service("web", ("sleep", "1"), ready=Tcp(80), after=("db",), restart="never")
    async with Supervisor(
        [web, Service("db", "sleep 1")], on_output=lambda name, lines: print(name, lines)
    ) as supervisor:
        assert_type(supervisor, Supervisor)
        async for event in supervisor:
            assert_type(event, ServiceEvent)
            assert_type(event.state, State | None)
        assert_type(supervisor.status(["web"]), list[CopyStatus])
        assert_type(supervisor.processes(), dict[str, int])
        assert_type(supervisor.signal(15), list[str])
        assert_type(await supervisor.reload([web], dry_run=True), list[Change])
        assert_type(await supervisor.wait(), int)
