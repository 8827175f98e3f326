"""Starts where processes, threads or descriptors run out: errors of the system, and nobody's descriptor is touched."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody else")
@pytest.mark.parametrize("pure", ["", "1"])
def test_no_process(pure: str) -> None:
    """With no process to be had, a start is a BlockingIOError; with one left, it succeeds without a thread."""
    script = """
        import asyncio, os, resource
        from governess.children._spawn.command import Command
        from governess.children._spawn import describe, spawner

        describe()  # which imports what it needs, before this user may not read it any more

        async def start():
            spawned = (await spawner().spawn(Command(["/bin/true"]))).claim()
            spawned.child.wait_for_exit()
            return spawned.child.reap()

        assert asyncio.run(start()) == 0
        os.setgid(4242)
        os.setuid(424242)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        try:
            asyncio.run(start())
        except BlockingIOError:
            print("EAGAIN")
    """
    environment = {**os.environ, "GOVERNESS_PURE": pure}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("EAGAIN\n", "")


def cgroup() -> Path | None:
    """A new control group that limits processes, or None."""
    for base in "/sys/fs/cgroup/pids", "/sys/fs/cgroup":
        group = Path(base, f"governess-test-{os.getpid()}")
        try:
            group.mkdir()
            (group / "pids.max").read_text()
        except OSError:
            if group.exists():
                group.rmdir()
        else:
            return group
    return None


@pytest.mark.parametrize("pure", ["", "1"])
def test_a_limit_of_processes(pure: str) -> None:
    """At the limit of a control group starts are right or EAGAIN, and descriptors of other threads stay open."""
    if os.getuid() != 0 or (group := cgroup()) is None:
        pytest.skip("no control group of processes can be made here")
    script = f"""
        import asyncio, collections, os, pathlib, threading
        from governess.subprocess import run

        group = pathlib.Path({str(group)!r})
        seen, over = collections.Counter(), threading.Event()

        def innocent():
            while not over.is_set():
                descriptor = os.open("/etc/passwd", os.O_RDONLY)
                os.fstat(descriptor); os.sched_yield(); os.fstat(descriptor); os.close(descriptor)

        def guard():
            try:
                innocent()
            except OSError as error:
                seen[f"harm: {{error}}"] += 1

        async def one(places):
            async with places:
                try:
                    done = await asyncio.wait_for(run("echo", "hello"), 20)
                    seen["right" if done.stdout == b"hello\\n" else repr(done)] += 1
                except BlockingIOError:
                    seen["EAGAIN"] += 1

        async def main():
            await asyncio.gather(*(run("true") for _ in range(8)))
            threads = [threading.Thread(target=guard) for _ in range(2)]
            for thread in threads:
                thread.start()
            (group / "pids.max").write_text(str(int((group / "pids.current").read_text()) + 3))
            places = asyncio.Semaphore(16)
            await asyncio.gather(*(one(places) for _ in range(600)))
            (group / "pids.max").write_text("max")
            over.set()
            for thread in threads:
                thread.join()

        (group / "cgroup.procs").write_text(str(os.getpid()))
        asyncio.run(main())
        assert not set(seen) - {{"right", "EAGAIN"}} and seen["right"] and seen["EAGAIN"], seen
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env={**os.environ, "GOVERNESS_PURE": pure},
            capture_output=True,
            text=True,
            timeout=100,
        )
    finally:
        group.rmdir()
    assert (done.returncode, done.stderr) == (0, "")
