"""`reap_orphans` runs in a real PID 1, in a namespace of its own."""

import ctypes  # noqa: F401  # in some builds it keeps a descriptor of its library
import shutil
import subprocess
import sys
import textwrap

import pytest

from governess.subprocess import reap_orphans

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_unshare() -> bool:
    return (
        shutil.which("unshare") is not None and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    )


as_pid_1 = pytest.mark.skipif(not can_unshare(), reason="no PID namespace can be had here")


def run_as_pid_1(script: str) -> None:
    body = textwrap.dedent(SETUP) + textwrap.dedent(script)
    done = subprocess.run([*UNSHARE, sys.executable, "-W", "error", "-c", body], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""


SETUP = """
    import asyncio, os, subprocess, threading, time
    from governess.subprocess import reap_orphans

    assert os.getpid() == 1

    reaped = {}
    changed = threading.Condition()

    def note(pid, exit):
        with changed:
            reaped[pid] = exit
            changed.notify_all()

    def wait_until(condition):
        with changed:
            assert changed.wait_for(condition, 20)

    def make_orphan(script):
        # It lives until the shell in between has ended, so that it is ours, and not the shell's to reap.
        gate, ours = os.pipe()
        line = "exec 3<&0; { read line <&3; %s; } >&- & echo $!" % script
        done = subprocess.run(["sh", "-c", line], stdin=gate, stdout=subprocess.PIPE)
        os.close(gate)
        os.close(ours)
        return int(done.stdout)
"""


@as_pid_1
def test_orphans_are_reaped() -> None:
    """Orphans are reaped, and their ends told, and nothing is left of them."""
    run_as_pid_1(
        """
        with reap_orphans(interval=0.02, on_exit=note):
            orphans = [make_orphan(f"exit {code}") for code in range(5)]
            killed = make_orphan("sleep 60")
            os.kill(killed, 9)
            wait_until(lambda: reaped.keys() >= {*orphans, killed})
        assert [reaped[pid] for pid in orphans] == [0, 1, 2, 3, 4]
        assert reaped[killed] == -9
        assert not os.path.exists(f"/proc/{killed}")
        """
    )


@as_pid_1
def test_owned_children_are_left_alone() -> None:
    """Dead children of Popen, of multiprocessing, of `os.fork` that is spared, and of governess keep their status."""
    run_as_pid_1(
        """
        import multiprocessing
        import governess
        from governess.children._spawn.command import Command
        from governess.transports._start import start_child

        spared = set()

        async def main():
            popen = subprocess.Popen(["sh", "-c", "exit 11"])
            forked = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 13"], os.environ)
            spared.add(forked)
            command = Command(["sh", "-c", "exit 14"])
            transport, _ = await start_child(asyncio.get_running_loop(), asyncio.SubprocessProtocol, command)
            for _ in range(3):  # several looks
                orphan = make_orphan("true")
                wait_until(lambda: orphan in reaped)
            assert popen.wait() == 11
            process.join()
            assert process.exitcode == 12
            assert os.waitpid(forked, 0)[1] == 13 << 8
            assert await transport._wait() == 14
            transport.close()

        process = multiprocessing.get_context("fork").Process(target=os._exit, args=(12,))
        process.start()
        with reap_orphans(interval=0.02, on_exit=note, skip=spared.__contains__):
            asyncio.run(main())
        assert len(reaped) == 3, reaped
        """
    )


@as_pid_1
def test_a_finished_popen_owns_nothing() -> None:
    """An orphan with the number of a child that a Popen object has reaped is an orphan."""
    run_as_pid_1(
        """
        with reap_orphans(interval=0.02, on_exit=note):
            finished = subprocess.Popen(["true"])
            finished.wait()
            orphan = make_orphan("true")
            finished.pid = orphan
            wait_until(lambda: orphan in reaped)
        """
    )


@as_pid_1
def test_an_error_of_the_callback_is_logged() -> None:
    """What `on_exit` raises is logged, and the reaper goes on."""
    run_as_pid_1(
        """
        import logging
        records = []
        handler = logging.Handler()
        handler.emit = records.append
        logging.getLogger("governess").addHandler(handler)

        def fail(pid, exit):
            note(pid, exit)
            raise LookupError("no such thing")

        with reap_orphans(interval=0.02, on_exit=fail):
            for _ in range(2):
                orphan = make_orphan("true")
                wait_until(lambda: orphan in reaped)
        assert [record.exc_info[0] for record in records] == [LookupError, LookupError]
        """
    )


def test_a_subreaper_gets_orphans_too() -> None:
    """A process that is not PID 1 may call it if it is a subreaper."""
    script = """
        import ctypes, os, subprocess, threading
        from governess.subprocess import reap_orphans
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        reaped = threading.Event()
        with reap_orphans(interval=0.02, on_exit=lambda pid, exit: reaped.set()):
            subprocess.run(["sh", "-c", "sleep 0.1 & true"])
            assert reaped.wait(20)
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)], capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("interval", [0, -1.0])
def test_without_a_pause_it_refuses(interval: float) -> None:
    """A thread that looks without a pause is an error."""
    with pytest.raises(ValueError, match="above 0 seconds"), reap_orphans(interval=interval):
        pass


def test_elsewhere_it_refuses() -> None:
    """In a process that never gets orphans it is an error."""
    with pytest.raises(RuntimeError, match="PID 1 or a subreaper"), reap_orphans():
        pass


@as_pid_1
def test_servants_of_multiprocessing() -> None:
    """The fork server and the resource tracker are left to multiprocessing, which starts dead ones again."""
    run_as_pid_1(
        """
        import multiprocessing, signal
        from multiprocessing import forkserver, resource_tracker

        context = multiprocessing.get_context("forkserver")
        forkserver.ensure_running()
        servants = forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid
        with reap_orphans(interval=0.02, on_exit=note):
            for pid in servants:
                os.kill(pid, signal.SIGKILL)
            # The second orphan is reaped a look after the first, and so after any other corpse of that time.
            for _ in range(2):
                orphan = make_orphan("exit 3")
                wait_until(lambda: orphan in reaped)
            assert not set(servants) & set(reaped)
            for pid in servants:
                assert os.waitpid(pid, os.WNOHANG)[0] == pid
        resource_tracker._resource_tracker._fd = None  # 3.13.5 would wait for it once more at the end
        """
    )


def test_callbacks_are_plain_functions() -> None:
    """A coroutine function as callback is refused: nobody would await it."""

    async def watch(*_: object) -> None: ...

    for wrong in ({"on_exit": watch}, {"skip": watch}):
        with pytest.raises(TypeError, match="takes a plain function"), reap_orphans(**wrong):
            pass
