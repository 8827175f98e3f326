"""Pain 27: SIGCHLD ignored: wait hangs.

Told in cpython#76296.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator

from pains.held import HELD, holding
from pains.verdict import Hurts


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    with ignored_sigchld(), warnings() as said, holding() as (stdin, let_exit):
        process = await create_subprocess_exec(*HELD, stdin=stdin)
        let_exit()
        async with asyncio.timeout(2):
            exit = await process.wait()
    assert any("SIGCHLD is ignored" in line for line in said)
    return "255, says that it is lost, and warns" if exit.lost else f"{judge(exit)}, and a warning"


async def on_asyncio() -> str:
    with ignored_sigchld(), holding() as (stdin, let_exit):
        process = await asyncio.create_subprocess_exec(*HELD, stdin=stdin)
        let_exit()
        try:
            return judge(await asyncio.wait_for(process.wait(), 2))
        except TimeoutError:
            raise late() from None


async def on_trio() -> str:
    import trio

    with ignored_sigchld(), holding() as (stdin, let_exit):
        process = await trio.lowlevel.open_process(HELD, stdin=stdin)
        let_exit()
        try:
            with trio.fail_after(2):
                return judge(await process.wait())
        except trio.TooSlowError:
            raise late() from None


async def on_anyio() -> str:
    import anyio

    with ignored_sigchld(), holding() as (stdin, let_exit):
        process = await anyio.open_process(HELD, stdin=stdin, stdout=None, stderr=None)
        let_exit()
        try:
            with anyio.fail_after(2):
                return judge(await process.wait())
        except TimeoutError:
            raise late() from None


@contextlib.contextmanager
def ignored_sigchld() -> Iterator[None]:
    """The kernel reaps every child at its exit, and tells nobody."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


@contextlib.contextmanager
def warnings() -> Iterator[list[str]]:
    """What governess logs."""
    from governess.children._exit import _warn_of_ignored_sigchld

    _warn_of_ignored_sigchld.cache_clear()  # it warns once in a process
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("governess").addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger("governess").removeHandler(handler)


def late() -> Hurts:
    return Hurts("wait() has not returned 2 s after the exit")


def judge(status: int | None) -> str:
    if status != 7:
        raise Hurts(f"says {status} for an exit with 7")
    return "the true status"


def test_pain_27_sigchld_ignored(relief: Callable[..., str]) -> None:
    """`wait()` returns the true status, which the kernel still has, and governess logs a warning."""
    relief(on_governess)
