"""A child is signalled and reaped under one lock, once."""

import asyncio
import errno
import os
import signal
import subprocess
import threading

import pytest

import governess
from governess import Exit
from governess.children import Child, adopt, children, end_group
from governess.children import _pidfd as pidfd
from governess.children._exit import exit_of


def start(*argv: str, **options: object) -> tuple[Child, subprocess.Popen]:
    process = subprocess.Popen(argv, **options)
    process.returncode = 0
    return adopt(process.pid), process


@pytest.fixture(params=["pidfd", "no pidfd"])
def _mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no pidfd":
        monkeypatch.setattr(pidfd, "open_pidfd", lambda pid: None)


@pytest.mark.usefixtures("_mechanism")
class TestChild:
    def test_life(self) -> None:
        """A child is listed from its start to its reap, which tells how it ended."""
        child, process = start("cat", stdin=subprocess.PIPE)
        assert children() == [child]
        assert adopt(process.pid) is child
        assert child.reap() is None
        process.stdin.close()
        assert child.wait_for_exit()
        assert children() == [child]
        exit = child.reap()
        assert exit == 0
        assert exit.rusage is not None
        assert child.exit is child.reap() is exit
        assert children() == []
        assert child.pidfd is None

    def test_kept_descriptor(self) -> None:
        """The descriptor of a child that is reaped stays open until everybody who keeps it has released it."""
        child, _ = start("true")
        kept = child.pidfd
        assert child.keep_pidfd(1) == child.keep_pidfd(2) == kept
        assert child.wait_for_exit(10)
        assert child.reap() == 0
        assert child.pidfd is child.keep_pidfd(3) is None
        if kept is None:
            return
        child.release_pidfd(1)
        child.release_pidfd(1)
        os.fstat(kept)
        child.release_pidfd(2)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(kept)

    def test_wait_with_a_timeout(self) -> None:
        """wait_for_exit gives up after its timeout, and does not reap."""
        child, process = start("cat", stdin=subprocess.PIPE)
        assert not child.wait_for_exit(0.01)
        process.stdin.close()
        assert child.wait_for_exit(10)
        assert child.exit is None
        assert child.reap() == 0

    def test_signal(self) -> None:
        """A signal reaches the living; after the reap it is a ProcessLookupError."""
        child, _ = start("sleep", "60")
        child.signal(signal.SIGTERM)
        child.wait_for_exit()
        child.signal(signal.SIGTERM)  # a zombie takes it without a word
        assert child.reap() == -signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            child.signal(signal.SIGTERM)
        with pytest.raises(ProcessLookupError):
            child.signal_group(signal.SIGTERM)

    def test_no_signal_after_a_thief(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once somebody else has reaped the child, its number gets no signal from us."""
        child, process = start("true")
        os.waitpid(process.pid, 0)
        sent = []
        monkeypatch.setattr(os, "kill", lambda *args: sent.append(args))
        monkeypatch.setattr(os, "killpg", lambda *args: sent.append(args))
        with pytest.raises(ProcessLookupError):
            child.signal(signal.SIGKILL)
        with pytest.raises(ProcessLookupError):
            child.signal_group(signal.SIGKILL)
        assert sent == []
        child.reap()

    def test_stolen(self, caplog: pytest.LogCaptureFixture) -> None:
        """A stolen exit is told truly with a pidfd, and else reported as lost, with a warning."""
        child, process = start("sh", "-c", "exit 42")
        os.waitpid(process.pid, 0)
        had_pidfd = child.pidfd is not None
        exit = child.reap()
        if had_pidfd:
            assert (exit, exit.lost) == (42, False)
        else:
            assert (exit, exit.lost) == (255, True)
            assert f"process pid {process.pid}" in caplog.text

    def test_held(self) -> None:
        """A held child stays a zombie whose end is told, and is reaped when the last hold is released."""
        heard = []
        child, process = start("true")
        child.subscribe(lambda child, exit: heard.append(exit))
        with child.held():
            with child.held():
                child.wait_for_exit()
                exit = child.reap()
                assert exit == 0
                assert heard == [exit]
                assert exit.rusage is None
            assert child.reap() is child.exit is exit
            assert os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT).si_pid == process.pid
            assert children() == [child]
        assert child.exit is exit
        assert exit.rusage is not None
        assert heard == [exit]
        assert children() == []

    def test_held_and_signalled(self) -> None:
        """The end by a signal is told of a held child too, and so is its core dump."""
        for number in (signal.SIGTERM, signal.SIGQUIT):
            child, _ = start("sleep", "60")
            with child.held():
                child.signal(number)
                child.wait_for_exit()
                told = child.reap()
                assert told.signal == number
                core_dumped = told.core_dumped
            assert child.exit is told
            assert told.core_dumped == core_dumped

    def test_stolen_while_held(self, caplog: pytest.LogCaptureFixture) -> None:
        """A held child whose end was told, and that somebody else reaps, has that end, and no signal reaches it."""
        child, process = start("sh", "-c", "exit 5")
        with child.held():
            child.wait_for_exit()
            assert child.reap() == 5
            os.waitpid(process.pid, 0)
            with pytest.raises(ProcessLookupError):
                child.signal(signal.SIGKILL)
            with pytest.raises(ProcessLookupError):
                child.signal_group(signal.SIGKILL)
        assert child.exit == 5
        assert not child.exit.lost
        assert children() == []
        assert caplog.text == ""

    def test_stolen_while_a_held_child_is_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The end of a held child is told, though other code reaps it between two looks at it."""
        child, _ = start("sh", "-c", "exit 3")
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        def steal(pid: int, pidfd: int | None) -> Exit | None:
            os.waitpid(pid, 0)
            return exit_of(pid, pidfd)

        monkeypatch.setattr("governess.children._child.exit_of", steal)
        with child.held():
            exit = child.reap()
            assert exit is not None
            assert exit == 3 or exit.lost

    @pytest.mark.skipif(pidfd.unavailable() is not None, reason="needs pidfds")
    def test_stolen_and_interrupted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A poll of a stolen child that a signal interrupts, and that says nothing then, does not make it live."""
        child, _ = start("sh", "-c", "exit 3")
        os.waitpid(child.pid, 0)

        class Interrupted:
            def register(self, *_: object) -> None:
                pass

            def poll(self, _: object) -> list[object]:
                return []

        monkeypatch.setattr("select.poll", Interrupted)
        assert child.reap() is not None

    def test_observers_hear_of_a_held_child_when_it_is_reaped(self) -> None:
        """Observers are told of the reap, when the resources are known."""
        rusages = []
        with governess.observe(on_exit=lambda child, exit: rusages.append(exit.rusage)):
            child, _ = start("true")
            with child.held():
                child.wait_for_exit()
                child.reap()
                assert rusages == []
        assert len(rusages) == 1
        assert rusages[0] is not None

    def test_subscribers_hear_once(self) -> None:
        """Each subscriber is called once, a late one at once, an unsubscribed one never."""
        child, _ = start("true")
        heard = []

        def early(child: Child, exit: Exit) -> None:
            heard.append("early")

        def gone(child: Child, exit: Exit) -> None:
            heard.append("gone")

        child.subscribe(early)
        child.subscribe(gone)
        child.unsubscribe(gone)
        child.wait_for_exit()
        child.reap()
        child.reap()
        child.subscribe(lambda child, exit: heard.append("late"))
        assert heard == ["early", "late"]

    def test_reaped_once_by_many_threads(self) -> None:
        """However many threads reap at once, the subscribers hear once."""
        heard = []
        for _ in range(20):
            child, _ = start("true")
            child.subscribe(lambda child, exit: heard.append(child))
            child.wait_for_exit()
            barrier = threading.Barrier(8)

            def reap(child: Child = child, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                assert child.reap() == 0

            threads = [threading.Thread(target=reap) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(heard) == 20

    def test_settle(self) -> None:
        """A child that a stranger's watcher has reaped takes the Exit from it."""
        child, process = start("true")
        os.waitpid(process.pid, 0)
        child.set_exit(Exit(11))
        child.set_exit(Exit(12))
        assert child.exit == child.reap() == 11
        assert children() == []

    def test_let_go(self) -> None:
        """A child that is let go is its parent's to reap, and nobody is told of its end."""
        child, process = start("true")
        child.disown()
        assert children() == []
        assert child.reap() is None
        assert os.waitpid(process.pid, 0) == (process.pid, 0)


def test_process_that_is_no_child(caplog: pytest.LogCaptureFixture) -> None:
    """The end of a process that is no child of ours is seen, and its status told by the kernel."""
    middle = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait $!"], stdout=subprocess.PIPE, start_new_session=True
    )
    with middle:
        grandchild = adopt(int(middle.stdout.readline()))
        assert grandchild.reap() is None
        grandchild.signal(signal.SIGKILL)
        assert pidfd.has_exited(grandchild.pidfd, 10)
        middle.wait()
        exit = grandchild.reap()
    assert exit in (-signal.SIGKILL, 255)
    assert exit.lost == (exit == 255)


def test_observers() -> None:
    """Observers are told of each spawned and each end, inside their block alone; one that fails disturbs nobody."""
    spawned, ends = [], []

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with (
        governess.observe(on_spawn=fail, on_exit=fail),
        governess.observe(on_spawn=spawned.append),
        governess.observe(on_exit=lambda child, exit: ends.append((child, exit))),
    ):
        child, _ = start("true")
        child.wait_for_exit()
        child.reap()
    other, _ = start("true")
    other.wait_for_exit()
    other.reap()
    assert spawned == [child]
    assert ends == [(child, 0)]


def test_observers_are_plain_functions() -> None:
    """A coroutine function as observer is refused: nobody would await it."""

    async def watch(*_: object) -> None: ...

    for wrong in ({"on_spawn": watch}, {"on_exit": watch}):
        with pytest.raises(TypeError, match="takes a plain function"), governess.observe(**wrong):
            pass


class TestEndGroup:
    @staticmethod
    def end(script: str, grace: float) -> Exit:
        """Start a group of a shell and what its script starts, and end it; the Exit of the shell."""
        reader, writer = os.pipe()
        child, _ = start("sh", "-c", script, stdout=writer, process_group=0)
        os.close(writer)
        with os.fdopen(reader) as output:
            output.readline()  # the grandchild is there
            asyncio.run(end_group(child, grace=grace))
            assert output.read() == ""  # nobody holds the pipe any more
        return child.reap()

    def test_term_is_enough(self) -> None:
        """A group that obeys TERM gets no KILL, and the wait ends with it, not with the grace."""
        exit = self.end("sleep 60 & echo $!; wait", grace=60)
        assert exit == -signal.SIGTERM

    def test_leader_dies_before_its_group(self) -> None:
        """What outlives its leader and ignores TERM is killed after the grace, and nobody else is."""
        exit = self.end("(trap '' TERM; echo; sleep 60) & wait", grace=0.2)
        assert exit == -signal.SIGTERM

    def test_group_younger_than_the_last_look(self) -> None:
        """A group that was born right after another one ended has its grace too."""

        async def main() -> list[Exit]:
            exits = []
            for _ in range(5):
                child, process = start("sh", "-c", f"trap 'exit 3' TERM; echo; {endless}", **quiet)
                process.stdout.readline()
                await end_group(child, grace=60)
                process.stdout.close()
                exits.append(child.reap())
            return exits

        endless = "while :; do sleep 0.01; done"
        quiet = {"stdout": subprocess.PIPE, "process_group": 0}
        assert asyncio.run(main()) == [3] * 5

    def test_no_descriptor_left_to_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """When /proc cannot be read, a group has its grace all the same."""

        def full(*_: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr("governess.children._group.os.listdir", full)
        exit = self.end("trap 'sleep 0.1; exit 3' TERM; echo; while :; do sleep 0.01; done", grace=0.5)
        assert exit == 3

    def test_cancelled_grace(self) -> None:
        """Cancelling the grace sends the KILL at once."""

        async def main() -> None:
            child, process = start("sh", "-c", "trap '' TERM; echo; while :; do sleep 1; done", **quiet)
            process.stdout.readline()
            ending = asyncio.create_task(end_group(child, grace=60))
            await asyncio.sleep(0)
            ending.cancel()
            await asyncio.wait([ending])
            child.wait_for_exit()
            process.stdout.close()
            assert child.reap() == -signal.SIGKILL

        quiet = {"stdout": subprocess.PIPE, "process_group": 0}
        asyncio.run(main())
