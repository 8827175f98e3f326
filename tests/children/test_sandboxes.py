"""Sandboxes and old kernels that know a part of the pidfd calls: everything works, by number where it must."""

import errno
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from fresh import run_fresh
from pains.sandbox import CALLS, HAS_SANDBOX

pytestmark = pytest.mark.skipif(not HAS_SANDBOX, reason="a seccomp filter is made on Linux, x86_64 or aarch64")

SCENARIO = """
import asyncio, logging, os, signal, sys
sys.path.insert(0, {tests!r})
from pains.sandbox import forbid
forbid({calls!r}, {error!r})
from loop_classes import LOOPS
import governess
from governess.subprocess import ProcessTimeout, create_subprocess_exec, run, start, watch

def children():
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{{task}}/children") as file:
                found += file.read().split()
        except OSError:
            pass
    return found

async def nobody_left():
    while children():
        await asyncio.sleep(0.002)

async def main():
    logging.disable(logging.NOTSET)
    assert (await run("sh", "-c", "echo x; exit 3")).exit == 3
    for end, status in (("kill", -9), ("terminate", -15)):
        process = await create_subprocess_exec("sleep", "60")
        getattr(process, end)()
        assert await process.wait() == status, end
    try:
        await run("sh", "-c", "sleep 60 & sleep 60", timeout=0.1, grace=1)
        raise AssertionError("no timeout")
    except ProcessTimeout as error:
        assert error.exit in (-15, -9, None)  # None: on a busy machine its start was cut off
    async with start("sh", "-c", "sleep 60 & sleep 60", grace=1) as process:
        pass
    assert process.exit is not None
    for _ in range(3):
        task = asyncio.ensure_future(create_subprocess_exec("sleep", "60"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    task = asyncio.ensure_future(run("sleep", "60"))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await nobody_left()
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 4"], os.environ)
    assert await watch(pid, reap=True) == 4
    process = await create_subprocess_exec("sh", "-c", "exit 5")
    logging.disable(logging.WARNING)  # "status is lost"
    try:
        os.waitpid(process.pid, 0)  # a thief
    except ChildProcessError:  # a thread of ours was faster
        pass
    assert await process.wait() in (5, 255)

for name, factory in list(LOOPS.items())[::{order}]:
    with governess.DefaultEventLoopPolicy(factory) as policy:
        with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
            try:
                runner.run(asyncio.wait_for(main(), 25))
            except BaseException as error:
                error.add_note("in a loop of " + name)
                raise
"""


def combinations() -> Iterator[object]:
    """Each call and each pair, with each errno; a few of them are quick tests."""
    for count in (1, 2):
        for number, calls in enumerate(itertools.combinations(CALLS, count)):
            for error in (errno.EPERM, errno.ENOSYS, errno.EINVAL):
                marks = [] if count == 1 and number % 3 == error % 3 else [pytest.mark.slow]
                name = f"{' and '.join(calls)}, {errno.errorcode[error]}"
                yield pytest.param(calls, error, marks=marks, id=name)
    yield pytest.param(tuple(CALLS), errno.EPERM, id="all, EPERM")


@pytest.mark.parametrize(("calls", "error"), list(combinations()))
@pytest.mark.parametrize(("spawner", "order"), [("native", 1), ("pure", -1)])
def test_what_is_refused(
    calls: tuple[str, ...],
    error: int,
    spawner: str,
    order: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Statuses, signals, timeouts, cancelled starts and groups are right whichever of the calls fail, in every loop."""
    if spawner == "pure":
        monkeypatch.setenv("GOVERNESS_PURE", "1")
    else:
        monkeypatch.delenv("GOVERNESS_PURE", raising=False)
    tests = str(Path(__file__).parents[1])
    run_fresh(SCENARIO.format(tests=tests, calls=calls, error=error, order=order))
