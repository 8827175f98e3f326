"""When a process is gone, the guardian ends those whom it has promised to end: the whole tree."""

import asyncio
import contextlib
import fcntl
import logging
import os
import resource
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from governess.children._spawn import describe

if sys.platform != "linux":
    pytest.skip("the guardian needs Linux", allow_module_level=True)

from governess.children import _guardian, children
from governess.children._guardian import client
from governess.subprocess import create_subprocess_exec, run, start
from guardians import children_of, guarded_by, guardians_of
from pains.processes import is_alive, own_children
from pains.recycled import INIT, UNSHARE, has_namespaces
from roll import Roll

if not _guardian.is_usable():
    pytest.skip("the guardian needs pidfds", allow_module_level=True)

TIMEOUT = 30
ANSWER = "exec 3>roll; echo >&3; "
SLEEPER = f"({ANSWER}exec sleep 60) & "
STUBBORN = f"(trap '' TERM HUP; {ANSWER}while :; do sleep 60; done) & "

PARENT = """
import asyncio, ctypes, os, signal, sys, time
from governess.children._guardian import client
from governess.subprocess import *
client._GRACE = {grace}
async def main():
    async with start("sh", "-c", sys.argv[1], die_with_parent=True, {options}) as process:
        sys.stdin.readline()
        {end}
        await asyncio.sleep(60)
asyncio.run(main())
"""


def another_guard(process: Any) -> _guardian.Guard:
    """Return one more promise to end the group of a process."""
    guard = _guardian.promise(_guardian.GROUP)
    guard.hold(process._child, is_registered=False, has_death_signal=True)
    return guard


@pytest.fixture
def roll(tmp_path: Path) -> Iterator[Roll]:
    roll = Roll(tmp_path / "roll")
    yield roll
    roll.close()


Parent = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    """Start a parent of a shell that runs the script; `end` is what it does when it reads a line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        script: str, end: str = "pass", options: str = "", grace: float = 5.0, **own: Any
    ) -> subprocess.Popen[bytes]:
        program = PARENT.format(grace=grace, end=end, options=options)
        streams = {"stdin": subprocess.PIPE, **own}
        process = subprocess.Popen([sys.executable, "-c", program, script], cwd=tmp_path, **streams)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def tell(parent: subprocess.Popen[bytes]) -> None:
    """Have the parent do what `end` says."""
    assert parent.stdin is not None
    parent.stdin.write(b"\n")
    parent.stdin.flush()


def kill_and_reap(parent: subprocess.Popen[bytes]) -> None:
    """Kill the parent when the guardian knows of the child."""
    guardian_of(parent)
    parent.kill()
    parent.wait(TIMEOUT)


def guardian_of(parent: subprocess.Popen[bytes]) -> int:
    """Return the guardian when it knows of the child."""
    until(lambda: [guarded_by(guardian) for guardian in guardians_of(parent.pid)] == [1])
    return guardians_of(parent.pid)[0]


def until(is_so: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + TIMEOUT
    while not (answer := is_so()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return answer


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os._exit(0)",
        "os.execv('/bin/sleep', ['sleep', '60'])",
        "process.detach(); sys.exit()",
    ],
)
def test_end_of_the_parent(parent: Parent, roll: Roll, end: str) -> None:
    """However the parent ends, its child is ended with all that is in its group; detached or not."""
    dying = parent(2 * SLEEPER + ANSWER + "sleep 60; :", end)
    roll.wait_for(3)
    guardian_of(dying)
    tell(dying)
    roll.wait_until_all_are_gone()


MANY_STARTS = """
import asyncio, os, resource
from governess.subprocess import create_subprocess_exec
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

def sockets():
    names = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.exists(name) and os.readlink(name).startswith(("socket:", "anon_inode:[pi")) for name in names)

async def one():
    process = await create_subprocess_exec("true", process_group=0, die_with_parent=True)
    await process.wait()

async def main():
    before = sockets()
    starts = [asyncio.create_task(one()) for _ in range(200)]
    while not any(task.done() for task in starts):
        await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        os._exit(min(sockets() - before, 100) if sockets() > before else 0)
    await asyncio.gather(*starts)
    print("all")
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

asyncio.run(main())
"""

UNAWARE = """
import asyncio, os, signal, sys, threading, time
from governess.children._guardian import client
from governess.subprocess import *
client._GRACE = 0.1

def die():
    while not os.path.exists("ready"):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    if sys.argv[2] == "stands still":
        await run("true", die_with_parent=True)
        asyncio.create_task(create_subprocess_exec("sh", "-c", sys.argv[1], die_with_parent=True, process_group=0))
        await asyncio.sleep(0)
        die()
    else:
        threading.Thread(target=die).start()
        async with start("sh", "-c", sys.argv[1], die_with_parent=True):
            await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(describe()[0] != "native", reason="Popen returns to its caller after the exec")
@pytest.mark.parametrize("loop", ["stands still", "is about to hear of its first child"])
def test_parent_that_does_not_know_of_its_child_yet(tmp_path: Path, roll: Roll, loop: str) -> None:
    """A parent that is killed before its loop has heard of a child's start leaves nobody behind who ignores TERM."""
    script = f"trap '' TERM; {STUBBORN} {ANSWER} : >ready; while :; do sleep 60; done"
    dying = subprocess.Popen([sys.executable, "-c", UNAWARE, script, loop], cwd=tmp_path)
    roll.wait_for(2)
    assert dying.wait(TIMEOUT) == -signal.SIGKILL
    roll.wait_until_all_are_gone()


@pytest.mark.parametrize("how", ["a hang-up", "Ctrl-backslash"])
def test_terminal(parent: Parent, roll: Roll, how: str) -> None:
    """The parent's terminal is closed, or sends it SIGQUIT."""
    ours, theirs = os.openpty()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    dying = parent(
        SLEEPER + "wait", **streams, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    )
    os.close(theirs)
    roll.wait_for(1)
    guardian_of(dying)
    if how == "Ctrl-backslash":
        os.write(ours, b"\x1c")
        assert dying.wait(TIMEOUT) == -signal.SIGQUIT
    os.close(ours)
    assert dying.wait(TIMEOUT) in (-signal.SIGHUP, -signal.SIGQUIT)
    roll.wait_until_all_are_gone()


def test_stubborn(parent: Parent, roll: Roll) -> None:
    """A process that ignores TERM is killed after the grace."""
    dying = parent(STUBBORN + SLEEPER + "wait", grace=0.5)
    roll.wait_for(2)
    kill_and_reap(dying)
    began = time.monotonic()
    roll.wait_until_all_are_gone()
    assert time.monotonic() - began > 0.4


COUNT = """
import signal, sys, time
terms = []
signal.signal(signal.SIGTERM, lambda *_: terms.append(1))
roll = open("roll", "w")
print(file=roll, flush=True)
while not terms:
    time.sleep(0.01)
time.sleep(0.4)
with open(sys.argv[1], "w") as file:
    file.write(str(len(terms)))
"""


def test_one_term(parent: Parent, roll: Roll, tmp_path: Path) -> None:
    """Each process gets one TERM, since a second one means "at once" to some, and has a grace to clean up.

    But the kernel may send its TERM again for each thread of the parent that ends after the child's own.
    """
    (tmp_path / "count.py").write_text(COUNT)
    dying = parent(f"{sys.executable} count.py member & exec {sys.executable} count.py leader")
    roll.wait_for(2)
    kill_and_reap(dying)
    roll.wait_until_all_are_gone()
    assert (tmp_path / "member").read_text() == "1"
    assert (tmp_path / "leader").read_text() == "1" or describe()[0] == "native"


def test_stopped(parent: Parent, roll: Roll) -> None:
    """A stopped process gets a CONT, and so takes the TERM."""
    dying = parent(SLEEPER + "wait")
    roll.wait_for(1)
    guardian = guardian_of(dying)
    [leader] = set(children_of(dying.pid)) - {guardian}
    os.killpg(leader, signal.SIGSTOP)
    kill_and_reap(dying)
    roll.wait_until_all_are_gone()


@pytest.mark.skipif(describe()[0] != "native", reason="pty needs the native spawner")
def test_session(parent: Parent, roll: Roll) -> None:
    """With a terminal of its own, a child is ended with all groups of its session."""
    dying = parent("set -m; trap '' HUP; " + 2 * SLEEPER + "wait", options="pty=True")
    roll.wait_for(2)
    kill_and_reap(dying)
    roll.wait_until_all_are_gone()


def test_process_without_a_group(tmp_path: Path, roll: Roll) -> None:
    """A child in the parent's own group dies with it, too."""
    program = """
import asyncio, os
from governess.subprocess import create_subprocess_exec
async def main():
    await create_subprocess_exec("sh", "-c", "exec 3>roll; echo >&3; exec sleep 60", die_with_parent=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path) as dying:
        roll.wait_for(1)
        dying.kill()
    roll.wait_until_all_are_gone()


def test_signals_of_the_terminal(parent: Parent, roll: Roll) -> None:
    """What a terminal sends, or a system that shuts down, does not end the guardian before its parent."""
    dying = parent(SLEEPER + "wait")
    roll.wait_for(1)
    guardian = guardian_of(dying)
    for name in ("INT", "QUIT", "TSTP", "TTIN", "TTOU", "HUP", "TERM", "PIPE", "USR1", "ALRM"):
        os.kill(guardian, getattr(signal, f"SIG{name}"))
    assert guardians_of(dying.pid) == [guardian]
    kill_and_reap(dying)
    roll.wait_until_all_are_gone()
    until(lambda: not is_alive(guardian))


@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.PyDLL(None).fork()"])
def test_forked_child(parent: Parent, roll: Roll, tmp_path: Path, fork: str) -> None:
    """A forked child that outlives the parent keeps nobody alive, whatever it still holds of the parent's.

    The second one is forked behind the back of Python's at-fork handlers, and holds the parent's end of the socket.
    """
    dying = parent(SLEEPER + "wait", f"pid = {fork}; pid or time.sleep(60); open('forked', 'w').write(str(pid))")
    roll.wait_for(1)
    tell(dying)
    forked = int(until(lambda: (tmp_path / "forked").exists() and (tmp_path / "forked").read_text()))
    try:
        kill_and_reap(dying)
        roll.wait_until_all_are_gone()
        assert is_alive(forked)
    finally:
        os.kill(forked, signal.SIGKILL)


def test_killed_guardian(parent: Parent, roll: Roll) -> None:
    """A guardian that is killed is reaped and gets a successor, which knows all that it knew."""
    dying = parent(SLEEPER + "wait")
    roll.wait_for(1)
    first = guardian_of(dying)
    os.kill(first, signal.SIGKILL)
    until(lambda: first not in children_of(dying.pid))
    kill_and_reap(dying)
    roll.wait_until_all_are_gone()


@pytest.mark.skipif(describe()[0] != "native", reason="only the native spawner has the kernel end a child")
def test_both_are_killed(parent: Parent, roll: Roll) -> None:
    """If the guardian is killed together with its parent, the child itself gets a TERM from the kernel."""
    dying = parent(ANSWER + "exec sleep 60")
    roll.wait_for(1)
    guardian = guardian_of(dying)
    os.kill(dying.pid, signal.SIGSTOP)
    os.kill(guardian, signal.SIGKILL)
    dying.kill()
    dying.wait(TIMEOUT)
    roll.wait_until_all_are_gone()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guardian of this process ends soon."""
    monkeypatch.setattr(client, "_LINGER", 0.05)
    monkeypatch.setattr(client, "_SHORTEST_LIFE", 0.05)


def my_guardian() -> int:
    """Return the guardian when it knows of its first child."""
    until(lambda: [guarded_by(guardian) for guardian in guardians_of(os.getpid())] == [1])
    return guardians_of(os.getpid())[0]


def is_idle() -> bool:
    return not any(thread.name == "governess-guardian" for thread in threading.enumerate())


@pytest.mark.usefixtures("brief")
class TestHere:
    """The guardian of this process."""

    def test_one_for_all(self) -> None:
        """All children have the same guardian; it ends, and is reaped, when the last of them has gone."""

        async def main() -> None:
            async with start("sleep", "60", die_with_parent=True):
                guardian = my_guardian()
                async with start("sleep", "60", die_with_parent=True):
                    await run("true", die_with_parent=True)
                    assert guardians_of(os.getpid()) == [guardian]
                    assert guardian not in [child.pid for child in children()]
            until(lambda: guardian not in own_children())

        asyncio.run(main())
        until(is_idle)

    def test_many(self) -> None:
        """A guardian closes its descriptor of a child that is gone."""

        async def main() -> None:
            async with start("sleep", "60", die_with_parent=True):
                guardian = my_guardian()
                for _ in range(10):
                    await asyncio.gather(*(run("true", die_with_parent=True) for _ in range(20)))
                until(lambda: guarded_by(guardian) == 1)
                assert guardians_of(os.getpid()) == [guardian]

        asyncio.run(main())

    def test_detached(self) -> None:
        """A child that is detached is guarded until it has exited; what it leaves behind then is not."""

        async def main() -> None:
            process = await create_subprocess_exec("sh", "-c", "read x", stdin=subprocess.PIPE, **GROUP)
            async with start("sleep", "60", die_with_parent=True) as other:
                other.detach()
            await asyncio.sleep(0.2)
            assert len(_guardian._client._records) == 2
            os.kill(other.pid, signal.SIGKILL)
            process._streams.feed()
            await process.wait()
            while _guardian._client._records:
                await asyncio.sleep(0.005)

        asyncio.run(main())

    def test_told_of_everybody_meanwhile(self) -> None:
        """A child that has told of itself is told of again, if the guardian was told of everybody but it since then."""

        async def main() -> None:
            async with start("sleep", "60", die_with_parent=True) as process:
                guardian = my_guardian()
                guard = _guardian.promise(_guardian.GROUP)
                _guardian._client._tell_all()
                guard.hold(process._child, is_registered=True, has_death_signal=True)
                until(lambda: guarded_by(guardian) == 2)
                guard.release()
                until(lambda: guarded_by(guardian) == 1)

        asyncio.run(main())

    @pytest.mark.skipif(describe()[0] != "native", reason="Popen has few starts on their way at a time")
    def test_interrupt_before_the_promise_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A child that has told of itself, and whose start is interrupted then, is forgotten by the guardian."""

        def interrupt(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        async def main() -> None:
            async with start("sleep", "60", die_with_parent=True):
                guardian = my_guardian()
                with monkeypatch.context() as patch:
                    patch.setattr("governess.children._spawn.native._keep", interrupt)
                    with pytest.raises((ZeroDivisionError, asyncio.CancelledError)):
                        await create_subprocess_exec("sleep", "60", die_with_parent=True, process_group=0)
                until(lambda: guarded_by(guardian) == 1)

        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # it raises in a callback of the loop
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()

    @pytest.mark.skipif(describe()[0] != "native", reason="each of Popen's children takes descriptors for its start")
    def test_many_starts_with_few_descriptors(self) -> None:
        """Starts that wait for their turn have no descriptor each for the guardian; a forked child has none of them."""
        done = subprocess.run([sys.executable, "-c", MANY_STARTS], capture_output=True, text=True, timeout=60)
        assert done.stdout == "all\n0\n", done.stderr

    def test_slow_guardian(self) -> None:
        """While the guardian does not read, starts do not wait for it; later it is told what it has missed."""

        async def main() -> None:
            async with start("sleep", "60", die_with_parent=True) as process:
                guardian = my_guardian()
                os.kill(guardian, signal.SIGSTOP)
                for _ in range(1000):
                    guard = another_guard(process)
                    assert guard is not None
                    guard.release()
                kept = [another_guard(process) for _ in range(300)]
                assert _guardian._client._is_behind
                os.kill(guardian, signal.SIGCONT)
                until(lambda: guarded_by(guardian) == 301)
                for guard in kept:
                    assert guard is not None
                    guard.release()
                until(lambda: guarded_by(guardian) == 1)

        asyncio.run(main())

    def test_no_descriptor_left(self) -> None:
        """A guardian without a free descriptor goes on with those that it has."""

        async def main() -> None:
            async with start("sleep", "60", die_with_parent=True) as process:
                guardian = my_guardian()
                limit = len(os.listdir(f"/proc/{guardian}/fd")) + 1
                resource.prlimit(guardian, resource.RLIMIT_NOFILE, (limit, limit))
                guards = [another_guard(process) for _ in range(9)]
                until(lambda: guarded_by(guardian) == 2)
                for guard in guards:
                    assert guard is not None
                    guard.release()
                until(lambda: guarded_by(guardian) == 1)
                assert guardians_of(os.getpid()) == [guardian]

        asyncio.run(main())

    @pytest.mark.parametrize("executable", ["/bin/false", "/nonexistent"])
    def test_no_guardian(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, executable: str
    ) -> None:
        """Where it cannot run, that is logged once; a spawner that has nothing else refuses once that is known."""
        monkeypatch.setattr(_guardian, "_client", client.Client())
        monkeypatch.setattr(sys, "executable", executable)

        async def main() -> None:
            for _ in range(2):
                async with start("sleep", "60", die_with_parent=True):
                    until(is_idle)
                    if executable == "/bin/false":
                        assert not _guardian.is_usable()
                    if describe()[0] != "native":
                        break

        may_be_refused = (
            executable == "/bin/false" and describe()[0] != "native"
        )  # it ends before the start or after it
        with caplog.at_level(logging.WARNING, "governess"):
            with contextlib.suppress(NotImplementedError) if may_be_refused else contextlib.nullcontext():
                asyncio.run(main())
            until(is_idle)
        [message] = [record.getMessage() for record in caplog.records if "guardian" in record.getMessage()]
        assert "there is no guardian" in message


GROUP = {"process_group": 0, "die_with_parent": True}

STRANGER = """
import os, signal, sys, time
from governess.children._guardian import main
from governess.children._guardian.main import GROUP, PROCESS, SESSION, Tree
main._PIDFD_SIGNAL_PROCESS_GROUP = {flag}

def start(number=None):
    while True:
        if number is not None:
            with open("/proc/sys/kernel/ns_last_pid", "w") as file:
                file.write(str(number - 1))
        pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {{}}, setsid=True)
        if number in (None, pid):
            return pid
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

own = start()
trees = [Tree(scope, own, False, os.pidfd_open(own)) for scope in (PROCESS, GROUP, SESSION)]
assert all(tree.has_number() for tree in trees)
os.kill(own, signal.SIGKILL)
os.waitpid(own, 0)
stranger = start(own)
assert not any(tree.has_number() for tree in trees)
main._end(trees, 0.0)
assert os.waitpid(stranger, os.WNOHANG) == (0, 0)
"""


@pytest.mark.skipif(not has_namespaces(), reason="no PID namespace can be had here")
@pytest.mark.parametrize("flag", ["1 << 2", "1 << 20"], ids=["by pidfd", "before Linux 6.9"])
def test_recycled_number(flag: str) -> None:
    """A stranger that has got the number of a child, its group and its session is not signalled."""
    command = [*UNSHARE, *INIT, sys.executable, "-c", STRANGER.format(flag=flag)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, "")
