"""Pain 20: uvloop's subprocess lacks Popen arguments.

Told in MagicStack/uvloop#618, MagicStack/uvloop#595.
"""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from pains.verdict import Hurts


class Case(NamedTuple):
    """Arguments of subprocess.Popen, a line of the shell, and what that says if they are in force."""

    options: dict[str, Any]
    line: str
    expected: str


Run = Callable[..., Awaitable[bytes]]

#: Root alone can give a child another user and other groups.
IS_ROOT = os.geteuid() == 0
USER, GROUP = (12345, 12346) if IS_ROOT else (os.getuid(), os.getgid())

IGNORES_SIGPIPE = "echo $((0x$(sed -n 's/^SigIgn:.//p' /proc/$$/status) >> 12 & 1))"


def cases(descriptor: int) -> list[Case]:
    return [
        Case({"user": USER}, "id -u", f"{USER}"),
        Case({"group": GROUP}, "id -g", f"{GROUP}"),
        Case({"umask": 0o027}, "umask", "0027"),
        Case({"process_group": 0}, "[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && echo leads", "leads"),
        Case({"start_new_session": True}, "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leads", "leads"),
        Case({"pass_fds": [descriptor]}, f"[ -e /proc/$$/fd/{descriptor} ] && echo open", "open"),
        Case({"close_fds": True}, f"[ -e /proc/$$/fd/{descriptor} ] || echo closed", "closed"),
        Case({"restore_signals": False}, IGNORES_SIGPIPE, "1"),  # as Python itself does
        Case({"preexec_fn": chdir_to_root}, "pwd", "/"),
        Case({"cwd": "/"}, "pwd", "/"),
        Case({"env": {"HERE": "yes"}}, "echo $HERE", "yes"),
        Case({"executable": "/bin/sh"}, "echo started", "started"),
        Case({"pipesize": 4096}, "echo started", "started"),
        *([Case({"extra_groups": [GROUP]}, "id -G", f"{os.getgid()} {GROUP}")] if IS_ROOT else []),
    ]


def chdir_to_root() -> None:
    os.chdir("/")


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    return await try_all(lambda *argv, **options: output_of(create_subprocess_exec, argv, options))


async def on_asyncio() -> str:
    return await try_all(lambda *argv, **options: output_of(asyncio.create_subprocess_exec, argv, options))


async def output_of(create: Callable[..., Awaitable[Any]], argv: tuple[str, ...], options: dict[str, Any]) -> bytes:
    process = await create(*argv, stdout=subprocess.PIPE, **options)
    output, _ = await process.communicate()
    return bytes(output)


async def on_trio() -> str:
    import trio

    async def run(*argv: str, **options: Any) -> bytes:
        done = await trio.run_process(argv, capture_stdout=True, check=False, **options)
        return done.stdout

    return await try_all(run)


async def on_anyio() -> str:
    import anyio

    async def run(*argv: str, **options: Any) -> bytes:
        done = await anyio.run_process(argv, check=False, **options)
        return done.stdout

    return await try_all(run)


async def try_all(run: Run) -> str:
    """Start a child with each argument; tell which are refused, and which are taken and not in force."""
    descriptor = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        seen = [(name_of(case), await what_becomes_of(case, run)) for case in cases(descriptor)]
    finally:
        os.close(descriptor)
    refused = [name for name, outcome in seen if outcome == "refused"]
    ignored = [name for name, outcome in seen if outcome == "ignored"]
    pains = [f"{what} {', '.join(names)}" for what, names in (("refuses", refused), ("ignores", ignored)) if names]
    if pains:
        raise Hurts("; ".join(pains))
    return f"takes all {len(seen)}, and they are in force"


def name_of(case: Case) -> str:
    return next(iter(case.options))


async def what_becomes_of(case: Case, run: Run) -> str:
    try:
        output = await run("/bin/sh", "-c", case.line, **case.options)
    except (TypeError, ValueError):
        return "refused"
    return "in force" if output.decode().strip() == case.expected else "ignored"


def test_pain_20_popen_arguments(relief: Callable[..., str]) -> None:
    """On every loop a child takes all arguments that subprocess.Popen has on POSIX systems."""
    relief(on_governess)
