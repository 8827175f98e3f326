"""asyncio's own names, from asyncio and from governess.subprocess, and options of Popen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator

from campaign.case import Case, Wrong
from governess.subprocess import Limits, create_subprocess_exec, create_subprocess_shell

__all__ = ["SCENARIOS"]

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM, signal.SIGTERM, signal.SIGKILL)


@contextlib.asynccontextmanager
async def ended_after_an_error(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Leave no child behind if an injected error ends the block, as a careful caller does."""
    try:
        yield
    except Exception:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise


async def exec_and_wait(case: Case) -> None:
    """A child without pipes."""
    code = case.code()
    process = await create_subprocess_exec(*case.child("exit", code))
    case.check(await process.wait(), code)


async def exec_and_die(case: Case) -> None:
    """A child that ends by a signal."""
    number = case.rng.choice(SIGNALS)
    process = await create_subprocess_exec(*case.child("die", number))
    case.check(await process.wait(), -number)


async def communicate(case: Case) -> None:
    """A child that copies its input."""
    code, data = case.code(), case.rng.randbytes(case.rng.choice((0, 1, 100, 70_000, 300_000)))
    process = await create_subprocess_exec(*case.child("copy", code), stdin=PIPE, stdout=PIPE, stderr=PIPE)
    async with ended_after_an_error(process):
        output, complaints = await process.communicate(data)
    case.check(process.returncode, code)
    case.check_equal("output", output, data)
    case.check_equal("complaints", complaints, b"")


async def shell(case: Case) -> None:
    """A line of the shell, its error in its output."""
    code = case.code()
    process = await create_subprocess_shell(f"echo a; echo b >&2; exit {code}", stdout=PIPE, stderr=STDOUT)
    async with ended_after_an_error(process):
        output, _ = await process.communicate()
    case.check(await process.wait(), code)
    case.check_equal("output", output, b"a\nb\n")


async def asyncios_own(case: Case) -> None:
    """Asyncio's function, which in a loop of governess's starts a child of governess's."""
    code = case.code()
    process = await asyncio.create_subprocess_exec(*case.child("say", "x", code), stdout=PIPE, stderr=DEVNULL)
    async with ended_after_an_error(process):
        output, _ = await process.communicate()
    case.check(await process.wait(), code)
    case.check_equal("output", output, b"x\n")


async def missing(case: Case) -> None:
    """A program or a directory that is not there."""
    program, cwd = case.rng.choice((("/missing/program", None), (case.program, "/missing/directory")))
    try:
        await create_subprocess_exec(program, "exit", "0", cwd=cwd, stdout=PIPE)
    except FileNotFoundError as error:
        case.check_equal("the file's name", error.filename, cwd or program)
    else:
        raise Wrong("a program that is not there was started")


async def files(case: Case) -> None:
    """Files in the place of pipes, by their paths."""
    code = case.code()
    path = case.folder / f"output-{case.rng.getrandbits(60)}"
    try:
        process = await create_subprocess_exec(*case.child("say", "text", code), stdout=path, stderr=DEVNULL)
        case.check(await process.wait(), code)
        case.check_equal("the file", path.read_bytes(), b"text\n")
    finally:
        path.unlink(missing_ok=True)


async def options(case: Case) -> None:
    """Options of Popen."""
    code, rng = case.code(), case.rng
    chosen = {
        "cwd": rng.choice((None, "/")),
        "umask": rng.choice((-1, 0o22)),
        "env": rng.choice((None, {**os.environ, "A": "b"})),
        "close_fds": rng.random() < 0.8,
        "start_new_session": rng.random() < 0.3,
        "restore_signals": rng.random() < 0.7,
        "pipesize": rng.choice((-1, 4096, 65536)),
    }
    process = await create_subprocess_exec(*case.child("fill", 20_000, code), stdout=PIPE, **chosen)
    async with ended_after_an_error(process):
        output, _ = await process.communicate()
    case.check(process.returncode, code)
    case.check_equal("size of the output", len(output), 20_000)


async def native_options(case: Case) -> None:
    """What only the native spawner can do."""
    if not case.has_native:
        return
    code = case.code()
    limits = Limits(open_files=64, nice=case.rng.randint(0, 3))
    process = await create_subprocess_exec(*case.child("exit", code), limits=limits, die_with_parent=True)
    case.check(await process.wait(), code)


async def preexec(case: Case) -> None:
    """Code of the caller's in the child, by Popen."""
    if sys.version_info >= (3, 12):  # which warns of a fork beside other threads
        return
    code = case.code()
    case.may_lose = case.may_lose or bool(case.errors)
    process = await create_subprocess_exec(*case.child("exit", code), preexec_fn=_nothing)
    case.check(await process.wait(), code)


def _nothing() -> None:
    pass


SCENARIOS = (
    (exec_and_wait, 20),
    (exec_and_die, 6),
    (communicate, 8),
    (shell, 3),
    (asyncios_own, 8),
    (missing, 4),
    (files, 4),
    (options, 6),
    (native_options, 4),
)
