"""What a block has started ends with it, whatever happens; every wait has a bound."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from governess.children import _pidfd as pidfd
from governess.children import children
from governess.subprocess import Process, create_subprocess_exec, start

pytestmark = pytest.mark.usefixtures("_reach")

#: A leader and a member of its group that both live; the member's number is told.
TWO = "sleep 60 & echo $!; wait"
#: Its member ignores TERM.
STUBBORN = "(trap '' TERM; echo $$; while :; do sleep 1; done) & wait"
#: The leader is gone, the member lives, and holds the pipe.
LEFT_BEHIND = "sleep 60 & echo $!"


async def member_of(process: Process) -> int:
    """Read the number of a member, and return a pidfd for it."""
    assert process.stdout is not None
    return os.pidfd_open(int(await process.stdout.readline()))


def is_gone(member: int) -> bool:
    try:
        return pidfd.has_exited(member)
    finally:
        os.close(member)


class TestLeaving:
    def test_by_its_end(self, run: Callable) -> None:
        """Who is still there when the block ends is ended, before the next statement."""

        async def main() -> None:
            async with start("sh", "-c", TWO, stdout=PIPE) as process:
                member = await member_of(process)
                assert process.exit is None
            assert process.exit == -signal.SIGTERM
            assert process.exit.rusage is not None
            assert is_gone(member)
            assert children() == []

        run(main)

    def test_the_rest_of_a_group(self, run: Callable) -> None:
        """When the leader has ended by itself, its pipes closed, the others still get their TERM and the grace."""
        script = "(trap 'echo bye >$0; exit' TERM; echo up >$0; while :; do sleep 0.02; done) </dev/null >&0 2>&0 &"

        async def main() -> None:
            with tempfile.TemporaryDirectory() as folder:
                said = Path(folder, "said")
                os.mkfifo(said)
                words = os.open(said, os.O_RDWR)
                try:
                    async with start("sh", "-c", script, str(said), stdout=PIPE, grace=60) as process:
                        assert await asyncio.to_thread(os.read, words, 9) == b"up\n"
                        await process.wait()
                        assert await process.stdout.read() == b""
                    assert os.read(words, 9) == b"bye\n"
                finally:
                    os.close(words)

        run(main)

    @pytest.mark.parametrize("signal_number", [signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN])
    @pytest.mark.parametrize("of_its_own", [True, False])
    def test_stopped(self, run: Callable, signal_number: int, of_its_own: bool) -> None:
        """A child that is stopped gets its TERM too, and so has its last words."""
        script = f"trap 'echo bye; exit 3' TERM; echo up; kill -{signal_number} $$; while :; do sleep 0.02; done"

        async def main() -> None:
            if of_its_own:
                async with start("sh", "-c", script, stdout=PIPE, grace=60) as process:
                    assert await process.stdout.readline() == b"up\n"
                    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            else:
                # In a group of its own, since the tests' may be an orphaned one, in which the kernel stops nobody.
                process = await create_subprocess_exec("sh", "-c", script, stdout=PIPE, process_group=0)
                assert await process.stdout.readline() == b"up\n"
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
                await process.end(grace=60)
            assert (process.exit, process.stdout.collected) == (3, b"bye\n")

        run(main)

    def test_by_an_error(self, run: Callable) -> None:
        """An error ends them too, and goes on its way."""

        async def fail() -> None:
            async with start("sh", "-c", TWO, stdout=PIPE) as process:
                members.append(await member_of(process))
                raise ZeroDivisionError

        async def main() -> None:
            with pytest.raises(ZeroDivisionError):
                await fail()
            assert is_gone(*members)

        members: list[int] = []

        run(main)

    def test_by_a_cancellation(self, run: Callable) -> None:
        """A timeout around the block ends them too; what was read stays on the process."""

        async def listen(bound: asyncio.Timeout) -> None:
            async with bound, start("sh", "-c", TWO, stdout=PIPE) as process:
                processes.append(process)
                await process.communicate()

        async def main() -> None:
            task = asyncio.create_task(listen(bound := asyncio.timeout(None)))
            while not (processes and processes[0].stdout.collected):
                await asyncio.sleep(0.001)
            bound.reschedule(0)
            with pytest.raises(TimeoutError):
                await task
            (process,) = processes
            assert process.stdout.collected.strip().isdigit()
            assert process.exit == -signal.SIGTERM
            with pytest.raises(ProcessLookupError):
                process.signal_tree(0)

        processes: list[Process] = []

        run(main)

    def test_leader_gone_before(self, run: Callable) -> None:
        """Who outlives the leader of the group is ended too."""

        async def main() -> None:
            async with start("sh", "-c", LEFT_BEHIND, stdout=PIPE) as process:
                member = await member_of(process)
                assert await process.wait() == 0
                assert not pidfd.has_exited(member)
            assert is_gone(member)
            assert process.exit == 0

        run(main)

    def test_leader_gone_before_the_block_begins(self, run: Callable) -> None:
        """However soon the leader is gone, nobody of its group is lost."""

        async def main() -> None:
            for _ in range(5):
                reader, writer = os.pipe()
                with os.fdopen(reader, "rb") as lifeline:
                    async with start("sh", "-c", "sleep 60 &", stdout=writer):
                        os.close(writer)
                    assert await asyncio.to_thread(lifeline.read) == b""

        run(main)

    def test_kill_after_the_grace(self, run: Callable) -> None:
        """Who ignores TERM gets KILL after the grace."""

        async def main() -> None:
            async with start("sh", "-c", STUBBORN, stdout=PIPE, grace=0.1) as process:
                await process.stdout.readline()
                began = time.monotonic()
            assert 0.1 <= time.monotonic() - began < 3
            with pytest.raises(ProcessLookupError):
                process.signal_tree(0)

        run(main)

    def test_second_cancellation(self, run: Callable) -> None:
        """A second cancellation cuts the grace short: KILL at once."""

        async def main() -> None:
            entered, left = asyncio.Event(), asyncio.Event()

            async def work() -> None:
                async with start("sh", "-c", f"trap '' TERM; {STUBBORN}", stdout=PIPE, grace=60) as process:
                    await process.stdout.readline()
                    try:
                        entered.set()
                        await asyncio.sleep(60)
                    finally:
                        left.set()
                        processes.append(process)

            processes: list[Process] = []
            task = asyncio.create_task(work())
            await entered.wait()
            task.cancel()
            await left.wait()
            await asyncio.sleep(0.05)  # into the grace
            assert not task.done()
            task.cancel()
            await asyncio.wait([task], timeout=10)
            assert task.cancelled()
            assert processes[0].exit == -signal.SIGKILL
            assert children() == []

        run(main)

    def test_cancelled_again_and_again(self, run: Callable) -> None:
        """However often and whenever it is cancelled, the group is dead and the child reaped soon."""

        async def main() -> None:
            for pause in (0, 0.001, 0.005, 0.02):
                task = asyncio.create_task(self.hold())
                while not children():
                    await asyncio.sleep(0.001)
                (child,) = children()
                while not task.done():
                    task.cancel()
                    await asyncio.sleep(pause)
                while child.exit is None or children():
                    await asyncio.sleep(0.001)

        run(main)

    @staticmethod
    async def hold() -> None:
        async with start("sh", "-c", f"trap '' TERM; {STUBBORN}", stdout=PIPE, grace=60):
            await asyncio.sleep(60)

    def test_coroutine_thrown_away(self, run: Callable) -> None:
        """A coroutine that is dropped in the block takes them with it, although it can wait for nothing."""

        async def main() -> None:
            async def work() -> None:
                async with start("sh", "-c", TWO, stdout=PIPE) as process:
                    members.append(await member_of(process))
                    entered.set()
                    await asyncio.Future()

            members: list[int] = []
            entered = asyncio.Event()
            coroutine = work()
            task = asyncio.create_task(_drive(coroutine))
            await entered.wait()
            task.cancel()
            await asyncio.wait([task])
            coroutine.close()
            assert pidfd.has_exited(members[0], 10)
            os.close(members[0])
            while children():
                await asyncio.sleep(0.001)

        run(main)

    def test_drain_is_bounded(self, run: Callable) -> None:
        """Somebody outside of the group who holds the pipe cannot hold up the end; what came is not lost."""

        async def main() -> None:
            script = "echo first; setsid sleep 60 & echo $!; exec sleep 60"
            async with start("sh", "-c", script, stdout=PIPE, drain=0.1) as process:
                first = await process.stdout.readline()
                outsider = int(await process.stdout.readline())
                while os.getpgid(outsider) == process.pid:
                    await asyncio.sleep(0.001)
                began = time.monotonic()
            assert time.monotonic() - began < 3
            assert first == b"first\n"
            os.kill(outsider, signal.SIGKILL)

        run(main)

    def test_what_nobody_has_read(self, run: Callable) -> None:
        """What was in the pipes unread is collected at the end, the last words after TERM too."""

        async def main() -> None:
            script = "echo early; trap 'echo late; exit 3' TERM; echo ready >&2; while :; do sleep 0.01; done"
            async with start("sh", "-c", script, stdout=PIPE, stderr=PIPE) as process:
                await process.stderr.readline()
            assert process.stdout.collected == b"early\nlate\n"
            assert process.exit == 3

        run(main)

    def test_full_pipe(self, run: Callable) -> None:
        """A child that writes for ever and is read by nobody is ended like any other."""

        async def main() -> None:
            async with start("sh", "-c", "yes & yes", stdout=PIPE) as process:
                await process.stdout.readline()
            assert process.exit == -signal.SIGTERM

        run(main)


class TestDetach:
    def test_runs_on(self, run: Callable) -> None:
        """A detached child outlives the block, without our ends of its pipes, and is reaped when it ends."""

        async def main() -> None:
            async with start("sh", "-c", "echo; sleep 60", stdin=PIPE, stdout=PIPE) as process:
                await process.stdout.readline()
                process.detach()
            assert process.is_detached
            assert process.poll() is None
            assert await process.stdout.read() == b""
            process.signal_tree(signal.SIGKILL)
            assert await process.wait() == -signal.SIGKILL
            assert children() == []

        run(main)

    def test_outlives_its_loop(self, run: Callable) -> None:
        """When the loop is closed before it ends, the reaper sees to it."""

        async def main() -> Process:
            async with start("sleep", "60") as process:
                process.detach()
            return process

        process = run(main)
        (child,) = children()
        assert child.pid == process.pid
        child.signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while children() and time.monotonic() < deadline:
            child.wait_for_exit(0.01)
        assert children() == []


class TestOptions:
    def test_group_and_session(self, run: Callable) -> None:
        """The child leads a group of its own, and a session only if asked to."""

        async def main() -> None:
            async with start("sleep", "60") as process:
                assert os.getpgid(process.pid) == process.pid
                assert os.getsid(process.pid) == os.getsid(0)
            async with start("sleep", "60", session=True) as process:
                assert os.getsid(process.pid) == process.pid

        run(main)

    def test_stdin(self, run: Callable) -> None:
        """Its standard input is empty unless it is told otherwise: a group in the background may not read."""

        async def main() -> None:
            async with start("cat", stdout=PIPE) as process:
                assert await process.stdout.read() == b""

        run(main)

    @pytest.mark.parametrize(
        ("argv", "options", "error", "words"),
        [
            ([], {}, TypeError, "no program"),
            (["true"], {"process_group": 0}, TypeError, "group of its own"),
            (["true"], {"start_new_session": True}, TypeError, "session=True"),
            (["true"], {"on_line": print}, ValueError, "PIPE"),
            (["true"], {"tee": sys.stdout.buffer, "stdout": DEVNULL}, ValueError, "PIPE"),
            (["true"], {"text": True}, TypeError, "merged_lines"),
        ],
    )
    def test_mistakes(self, argv: list[str], options: dict[str, Any], error: type[Exception], words: str) -> None:
        """A mistake is told before anything is started."""
        with pytest.raises(error, match=words):
            start(*argv, **options)

    def test_one_block_each(self, run: Callable) -> None:
        """What start() returns is good for one block."""

        async def main() -> None:
            once = start("true")
            async with once as process:
                await process.wait()
            with pytest.raises(RuntimeError, match="one block"):
                async with once:
                    pass

        run(main)

    def test_not_found(self, run: Callable) -> None:
        """A program that is not there is the same error as ever, and leaves nothing."""

        async def main() -> None:
            with pytest.raises(FileNotFoundError, match="no-such-program"):
                async with start("no-such-program"):
                    pass

        run(main)

    def test_cancelled_while_starting(self, run: Callable) -> None:
        """Cancelled at any moment of its start, nothing is left."""

        async def main() -> None:
            for rounds in range(12):
                task = asyncio.create_task(self.block())
                for _ in range(rounds):
                    await asyncio.sleep(0.0005)
                task.cancel()
                await asyncio.wait([task])
                while children():
                    await asyncio.sleep(0.001)

        run(main)

    @staticmethod
    async def block() -> None:
        async with start("sh", "-c", TWO, stdin=PIPE, stdout=PIPE):
            await asyncio.sleep(60)


class TestTree:
    def test_signal_tree_without_leader(self, run: Callable) -> None:
        """The group takes signals when its leader is gone; when nobody is left, that is a ProcessLookupError."""

        async def main() -> None:
            async with start("sh", "-c", LEFT_BEHIND, stdout=PIPE) as process:
                member = await member_of(process)
                await process.wait()
                process.signal_tree(signal.SIGKILL)
                assert pidfd.has_exited(member, 10)
                os.close(member)
            with pytest.raises(ProcessLookupError):
                process.signal_tree(signal.SIGKILL)

        run(main)

    def test_plain_process(self, run: Callable) -> None:
        """Without a group of its own a child is signalled alone, and ended alone."""

        async def main() -> None:
            process = await create_subprocess_exec(
                "sh", "-c", "trap '' TERM; echo; while :; do sleep 1; done", stdout=PIPE
            )
            await process.stdout.readline()
            process.signal_tree(signal.SIGTERM)
            assert await process.end(grace=0.05, drain=0.05) == -signal.SIGKILL
            assert await process.end() == -signal.SIGKILL

        run(main)

    def test_poll(self, run: Callable) -> None:
        """poll() tells of the end although the loop has had no turn."""

        async def main() -> None:
            async with start("true") as process:
                deadline = time.monotonic() + 10
                while (exit := process.poll()) is None and time.monotonic() < deadline:
                    time.sleep(0.001)
                assert exit == 0
                assert process.exit is exit

        run(main)


async def _drive(coroutine: Any) -> None:
    """Step a coroutine without finishing it when this is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            awaited = coroutine.send(None)
        except StopIteration:
            return
        if awaited is None:
            await asyncio.sleep(0)
            continue
        awaited._asyncio_future_blocking = False
        done = loop.create_future()
        awaited.add_done_callback(lambda _, done=done: done.done() or done.set_result(None))
        await done
