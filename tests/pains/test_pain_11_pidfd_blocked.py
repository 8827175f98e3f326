"""Pain 11: pidfd missing or blocked (seccomp, old host).

Told in cockpit-project/cockpit#22913, systemd/systemd#35971.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable

import pytest

from pains.apart import apart
from pains.processes import end, own_children
from pains.sandbox import HAS_SANDBOX, forbid_pidfd
from pains.verdict import Hurts

CHILD = ["sh", "-c", "sleep 0.1; exit 7"]

PATIENCE = 3.0

FROM_THE_START, BETWEEN = "from the start", "between two children"

#: When the sandbox is shut, which is real (seccomp), and what the calls fail with then.
TIMES = {FROM_THE_START: errno.ENOSYS, BETWEEN: errno.EPERM}

Child = Callable[[], Awaitable[int]]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def on_governess(loop_factory: LoopFactory) -> str:
    return at_both_times(lambda when: apart(inside_governess, when, loop_factory=loop_factory))


def inside_governess(when: str, loop_factory: LoopFactory) -> str:
    from governess.subprocess import run

    async def child() -> int:
        async with asyncio.timeout(PATIENCE):
            return (await run(*CHILD)).exit

    return see_in_asyncio(child, when, loop_factory)


def on_asyncio(loop_factory: LoopFactory) -> str:
    return at_both_times(lambda when: apart(inside_asyncio, when, loop_factory=loop_factory))


def inside_asyncio(when: str, loop_factory: LoopFactory) -> str:
    async def child() -> int:
        async with asyncio.timeout(PATIENCE):
            return await (await asyncio.create_subprocess_exec(*CHILD)).wait()

    return see_in_asyncio(child, when, loop_factory)


def see_in_asyncio(child: Child, when: str, loop_factory: LoopFactory) -> str:
    shut_at(FROM_THE_START, when)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(see(child, when))


def on_trio() -> str:
    return at_both_times(lambda when: apart(inside_trio, when))


def inside_trio(when: str) -> str:
    import trio

    async def child() -> int:
        with trio.fail_after(PATIENCE):
            return (await trio.run_process(CHILD, check=False)).returncode

    shut_at(FROM_THE_START, when)
    return trio.run(see, child, when)


def on_anyio() -> str:
    return at_both_times(lambda when: apart(inside_anyio, when))


def inside_anyio(when: str) -> str:
    import anyio

    async def child() -> int:
        with anyio.fail_after(PATIENCE):
            return (await anyio.run_process(CHILD, check=False)).returncode

    shut_at(FROM_THE_START, when)
    return anyio.run(see, child, when)


def at_both_times(play: Callable[[str], str]) -> str:
    pains = []
    for when in TIMES:
        try:
            play(when)
        except Hurts as pain:
            pains.append(f"the sandbox closed {when}: {pain}")
    if pains:
        raise Hurts("; ".join(pains))
    return f"children are watched, with the sandbox closed {' or '.join(TIMES)}"


async def see(child: Child, when: str) -> str:
    if when == BETWEEN:
        assert await child() == 7
    shut_at(BETWEEN, when)
    try:
        status = await child()
    except TimeoutError:
        raise Hurts("its end is not noticed") from None
    except OSError as error:
        left = own_children()
        end(left)
        raise Hurts(f"{type(error).__name__}{', and the child runs on unwatched' if left else ''}") from None
    if status != 7:
        raise Hurts(f"{status} instead of 7")
    return "watched"


def shut_at(time: str, when: str) -> None:
    if time == when:
        forbid_pidfd(TIMES[when])


@pytest.mark.skipif(not HAS_SANDBOX, reason="the system calls of this machine are not known")
def test_pain_11_pidfd_blocked(relief: Callable[..., str]) -> None:
    """A thread watches each child for which no pidfd can be opened."""
    relief(on_governess)
