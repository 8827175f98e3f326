"""What a child may use, and that it dies with its parent."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import governess
from governess.children._spawn import can_die_with_parent, describe
from governess.subprocess import Limits, run, start
from governess.subprocess._limits import child_options

TIMEOUT = 30

needs_native = pytest.mark.skipif(describe()[0] != "native", reason="limits need the native spawner")

Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@needs_native
class TestLimits:
    def test_all_of_them(self, run_in_loop: Run) -> None:
        """The program has the limits from its start on, and this process keeps its own."""

        async def main() -> None:
            limits = Limits(memory=1 << 30, cpu=5, open_files=33, processes=4000, nice=3)
            script = "ulimit -v; ulimit -t; ulimit -n; ulimit -u; nice"
            done = await run("bash", "-c", script, limits=limits, encoding="ascii")
            niceness = min(os.nice(0) + 3, 19)
            assert done.stdout.split() == [str(1 << 20), "5", "33", "4000", str(niceness)]

        run_in_loop(main)

    def test_memory(self, run_in_loop: Run) -> None:
        """What asks for more memory does not get it."""

        async def main() -> None:
            limits = Limits(memory=256 << 20)
            done = await run(sys.executable, "-c", "bytearray(1 << 30)", limits=limits, encoding="utf-8")
            assert done.exit == 1
            assert "MemoryError" in done.stderr

        run_in_loop(main)

    def test_cpu(self) -> None:
        """What computes for too long gets SIGXCPU, and SIGKILL if it does not care."""

        async def main() -> None:
            endless = ["sh", "-c", "while :; do :; done"]
            deaf = ["bash", "-c", "trap '' XCPU; while :; do :; done"]
            first, second = await asyncio.gather(*(run(*argv, limits=Limits(cpu=1)) for argv in (endless, deaf)))
            assert (first.exit, second.exit) == (-signal.SIGXCPU, -signal.SIGKILL)

        asyncio.run(main())  # three seconds of computing: not once more for another loop

    def test_other_options(self, run_in_loop: Run) -> None:
        """umask, user and group are set too."""

        async def main() -> None:
            privileged = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
            done = await run("sh", "-c", "umask; id -u; id -g", umask=0o27, encoding="ascii", cwd="/", **privileged)
            ids = ["65534", "65534"] if privileged else [str(os.getuid()), str(os.getgid())]
            assert done.stdout.split() == ["0027", *ids]

        run_in_loop(main)


DYING_PARENT = """
import asyncio, os, sys
from governess.subprocess import PIPE, start
async def main():
    async with start("sh", "-c", "echo $$; exec sleep 60", stdout=PIPE, die_with_parent=True) as process:
        print((await process.stdout.readline()).decode(), flush=True)
        %s
asyncio.run(main())
"""


@pytest.mark.skipif(not can_die_with_parent(), reason="nobody tells a child of its parent's death")
@pytest.mark.parametrize(
    ("end", "status"),
    [("os.kill(os.getpid(), 9)", -9), ("os._exit(3)", 3), ("os.execv('/bin/true', ['true'])", 0)],
    ids=["killed", "exits", "replaces itself"],
)
def test_die_with_parent(end: str, status: int) -> None:
    """The child is ended when its parent ends, however it does, and when another program takes the parent's place."""
    done = subprocess.run([sys.executable, "-c", DYING_PARENT % end], stdout=subprocess.PIPE, timeout=TIMEOUT)
    assert done.returncode == status
    try:
        descriptor = os.pidfd_open(int(done.stdout))
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, 0)
        from governess.children._pidfd import has_exited

        assert has_exited(descriptor, TIMEOUT)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


@pytest.mark.skipif(not can_die_with_parent(), reason="nobody tells a child of its parent's death")
def test_not_with_the_thread(run_in_loop: Run) -> None:
    """A child that dies with its parent outlives the thread whose loop has started it."""

    async def main() -> None:
        started: list[Any] = []

        async def start_it() -> None:
            starting = start("sleep", "60", die_with_parent=True)
            started.append(await starting.__aenter__())
            started[0].detach()

        await asyncio.to_thread(lambda: governess.run(start_it()))
        await asyncio.get_running_loop().shutdown_default_executor()
        process = started[0]
        assert process.poll() is None
        os.kill(process.pid, signal.SIGTERM)

    run_in_loop(main)


@pytest.mark.parametrize(
    "wrong", [{"memory": 0}, {"memory": 1 << 63}, {"cpu": 0.5}, {"open_files": True}, {"processes": "9"}]
)
def test_wrong_limits(wrong: dict[str, Any]) -> None:
    """A limit is a positive whole number."""
    with pytest.raises(ValueError, match=f"the limit {next(iter(wrong))} is a whole number above 0"):
        Limits(**wrong)


def test_wrong_niceness() -> None:
    """What is added to the niceness is a whole number."""
    with pytest.raises(ValueError, match="nice is a whole number, not 'low'"):
        Limits(nice="low")  # type: ignore[arg-type]


def test_contradictions() -> None:
    """What is said twice, or is no Limits, is an error."""
    with pytest.raises(TypeError, match="nice: given twice"):
        child_options({"limits": Limits(nice=1), "nice": 2})
    with pytest.raises(TypeError, match=r"governess\.subprocess\.Limits"):
        child_options({"limits": 5})


@pytest.mark.skipif(not os.environ.get("GOVERNESS_PURE"), reason="the native spawner is in use")
def test_without_the_native_spawner(run_in_loop: Run) -> None:
    """The error says what is missing."""

    async def main() -> None:
        with pytest.raises(NotImplementedError, match="rlimits: only the native spawner"):
            await run("true", limits=Limits(memory=1 << 30))

    run_in_loop(main)
