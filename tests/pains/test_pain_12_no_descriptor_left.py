"""Pain 12: EMFILE on `pidfd_open`: child runs on unwatched.

Told in byllyfish/shellous#184, giampaolo/psutil#2712, cpython#151179.
"""

import asyncio
import contextlib
import errno
import os
import resource
from collections.abc import Awaitable, Callable, Iterator

from pains.apart import apart
from pains.processes import end, own_children
from pains.verdict import Hurts

#: So subprocess.Popen takes posix_spawn (from 3.14 on without `close_fds=False` too), which needs no descriptor: the
#: first is the pidfd.
CHILD = ["/bin/sh", "-c", "sleep 0.02; exit 7"]
CLOSE_FDS = False

#: How many descriptors can be had when a child is started.
FREE = range(12)

PATIENCE = 3.0

Child = Callable[[], Awaitable[int]]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def on_governess(loop_factory: LoopFactory) -> str:
    return apart(inside_governess, loop_factory=loop_factory)


async def inside_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    async def child() -> int:
        async with asyncio.timeout(PATIENCE):
            return await (await create_subprocess_exec(*CHILD, close_fds=CLOSE_FDS)).wait()

    return await sweep(child)


def on_asyncio(loop_factory: LoopFactory) -> str:
    return apart(inside_asyncio, loop_factory=loop_factory)


async def inside_asyncio() -> str:
    async def child() -> int:
        async with asyncio.timeout(PATIENCE):
            return await (await asyncio.create_subprocess_exec(*CHILD, close_fds=CLOSE_FDS)).wait()

    return await sweep(child)


def on_trio() -> str:
    return apart(inside_trio)


def inside_trio() -> str:
    import trio

    async def child() -> int:
        with trio.fail_after(PATIENCE):
            process = await trio.lowlevel.open_process(CHILD, stdin=None, close_fds=CLOSE_FDS)
            return await process.wait()

    return trio.run(sweep, child)


def on_anyio() -> str:
    return apart(inside_anyio)


def inside_anyio() -> str:
    import anyio

    async def child() -> int:
        with anyio.fail_after(PATIENCE):
            async with await anyio.open_process(CHILD, stdin=None, stdout=None, stderr=None) as process:
                return await process.wait()

    return anyio.run(sweep, child)


async def sweep(child: Child) -> str:
    """Start a child with no descriptor left, with one, and so on: each is refused, or watched to its end."""
    assert await child() == 7  # the loop opens what it keeps
    before = descriptors()
    refused = [free for free in FREE if not await is_watched(child, free)]
    if leaked := descriptors() - before:
        raise Hurts(f"the children that it refuses leak {len(leaked)} descriptors")
    if refused == list(FREE):
        raise Hurts("no child can be started")
    if not refused:
        return "every child is watched"
    return f"every child is watched, or refused (with {' or '.join(map(str, refused))} free descriptors)"


async def is_watched(child: Child, free: int) -> bool:
    """Return whether the child was watched to its end; False means that there is none."""
    try:
        with descriptors_left(free):
            status = await child()
    except TimeoutError:
        raise Hurts(f"with {free} free descriptors, its end is not noticed") from None
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        if left := own_children():
            end(left)
            raise Hurts(f"with {free} free descriptors, EMFILE, and the child runs on unwatched") from None
        return False
    if status != 7:
        raise Hurts(f"with {free} free descriptors, {status} instead of 7")
    return True


@contextlib.contextmanager
def descriptors_left(free: int) -> Iterator[None]:
    """Let this process have so many more descriptors, and no more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors()) + len(FREE), limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for descriptor in taken[:free]:
            os.close(descriptor)
        del taken[:free]
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def descriptors() -> set[int]:
    """Return those that are open; that of the listing itself is closed by then."""
    return {int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


def test_pain_12_no_descriptor_left(relief: Callable[..., str]) -> None:
    """If no descriptor is free, a thread watches the child; a failed start leaves nothing behind."""
    relief(on_governess)
