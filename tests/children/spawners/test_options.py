"""What subprocess.Popen can do, each compared with what it does for the same arguments."""

import ctypes
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from governess.children._spawn import Spawner
from spawning import Result, end, popens_result, result, spawned

PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root may change the user")

ENVIRONMENTS = {
    "none": None,
    "empty": {},
    "str": {"A": "1", "PATH": "/bin:/usr/bin"},
    "bytes": {b"A": b"\xff", b"PATH": b"/bin:/usr/bin"},
    "os.environ": os.environ,
    "os.environb": os.environb,
    "empty value": {"A": "", "PATH": "/usr/bin:/bin"},
}

OPTIONS = {
    "cwd": ("pwd", {"cwd": "/usr"}),
    "cwd is a Path": ("pwd", {"cwd": Path("/usr")}),
    "cwd in bytes": ("pwd", {"cwd": b"/usr"}),
    "relative program after cwd": (["./true"], {"cwd": "/bin"}),
    "executable": (["another name", "-c", "echo $0"], {"executable": "/bin/sh"}),
    "executable is searched for": (["x", "-c", "echo $0"], {"executable": "sh"}),
    "path-like words": ([Path("/bin/echo"), Path("a")], {}),
    "path-like program alone": (Path("/bin/pwd"), {"cwd": "/"}),
    "bytes": ([b"/bin/echo", b"\xff"], {}),
    "umask": ("umask", {"umask": 0o27}),
    "start_new_session": (
        "read a b c d pgrp session rest < /proc/$$/stat; test $session = $$; echo $?",
        {"start_new_session": True},
    ),
    "process_group 0": ("read a b c d pgrp rest < /proc/$$/stat; test $pgrp = $$; echo $?", {"process_group": 0}),
    "process_group -1": ("read a b c d pgrp rest < /proc/$$/stat; test $pgrp = $$; echo $?", {"process_group": -1}),
    "executable of the shell": ("echo $0", {"executable": "/bin/bash"}),
    "stdout to stderr": ("echo a; echo b >&2", {"stderr": STDOUT}),
    "close_fds": ("ls /proc/self/fd", {"close_fds": True}),
    "a user by number": pytest.param("id", {"user": 65534}, marks=as_root),
    "a user by name": pytest.param("id", {"user": "nobody"}, marks=as_root),
    "a group": pytest.param("id", {"group": 1}, marks=as_root),
    "a group by name": pytest.param("id", {"group": "daemon"}, marks=as_root),
    "extra groups": pytest.param("id", {"extra_groups": [1, "bin", 3]}, marks=as_root),
    "no groups": pytest.param("id", {"extra_groups": []}, marks=as_root),
    "everything at once": pytest.param(
        "id; pwd; umask",
        {"user": 65534, "group": 1, "extra_groups": [2], "cwd": "/", "umask": 7, "start_new_session": True},
        marks=as_root,
    ),
}


@pytest.mark.parametrize(
    ("args", "options"),
    [
        pytest.param(*each.values, marks=each.marks, id=name)
        if hasattr(each, "marks")
        else pytest.param(*each, id=name)
        for name, each in OPTIONS.items()
    ],
)
def test_option(spawner: Spawner, args: object, options: dict) -> None:
    """An option of Popen has the effect that it has with Popen."""
    common = {"shell": isinstance(args, str), "stdout": PIPE, "stdin": DEVNULL} | options
    assert result(spawner, args, **common) == popens_result(args, **common)


@pytest.mark.parametrize("shell", [False, True])
@pytest.mark.parametrize("env", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_environment(spawner: Spawner, env: object, shell: bool) -> None:
    """The child has exactly the environment that was given; None is the parent's own."""
    args = "env" if shell else ["/usr/bin/env"]
    assert result(spawner, args, shell=shell, env=env, stdout=PIPE) == popens_result(
        args, shell=shell, env=env, stdout=PIPE
    )


def test_works_on_every_loop(spawner: Spawner, loop_factory: Callable) -> None:
    """The child's pipes and its end are the same on every loop."""
    assert result(spawner, "cat; exit 3", loop_factory, shell=True, stdin=PIPE, stdout=PIPE) == (3, b"", b"")


@pytest.mark.parametrize("restore", [True, False])
def test_ignored_and_handled_signals(spawner: Spawner, restore: bool) -> None:
    """A signal that the parent ignores stays ignored in the child, one that it handles does not; as with Popen."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN), signal.signal(signal.SIGUSR2, lambda *_: None)
    try:
        options = {"args": ["grep", "Sig[IBC]", "/proc/self/status"], "stdout": PIPE, "restore_signals": restore}
        found, expected = signals(result(spawner, **options)), signals(popens_result(**options))
    finally:
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGUSR2, before[1])
    assert found == expected
    # Of these four alone: who started the tests may ignore others, as nohup does.
    here = found["SigIgn"] & mask(signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGXFSZ)
    assert here == (mask(signal.SIGUSR1) if restore else mask(signal.SIGUSR1, signal.SIGPIPE, signal.SIGXFSZ))


def mask(*numbers: int) -> int:
    return sum(1 << number - 1 for number in numbers)


def signals(result: Result) -> dict[str, int]:
    """Which of the signals that have names are blocked, ignored and caught; libc does what it likes with 32 and 33."""
    return {
        name.rstrip(":"): int(mask, 16) & (1 << 31) - 1
        for name, mask in map(str.split, result.output.decode().splitlines())
    }


def test_signal_mask_of_the_starter(native: Spawner) -> None:
    """The child has the signal mask of the thread that asks for it, however it is started."""
    masks = []

    def ask() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        masks.append(result(native, ["grep", "SigBlk", "/proc/self/status"], stdout=PIPE).output)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert int(masks[0].split()[1], 16) == 1 << signal.SIGUSR2 - 1


def test_passed_descriptors(spawner: Spawner, tmp_path: Path) -> None:
    """Of the parent's descriptors the child has those in pass_fds, twice named or not, and no other."""
    with open(tmp_path / "a", "w") as first, open(tmp_path / "b", "w") as second, open(tmp_path / "c", "w") as third:
        os.set_inheritable(third.fileno(), True)
        passed = [second.fileno(), first.fileno(), second.fileno()]
        options = {"pass_fds": passed, "stdin": DEVNULL, "stdout": PIPE}
        expected = popens_result(["ls", "-l", "/proc/self/fd"], **options)
        found = result(spawner, ["ls", "-l", "/proc/self/fd"], **options)
    names = [sorted(line.split()[-3:][0] for line in each.output.splitlines()[1:]) for each in (found, expected)]
    assert names[0] == names[1]
    assert str(third.name).encode() not in found.output


def test_inheritable_descriptors_without_close_fds(spawner: Spawner, tmp_path: Path) -> None:
    """With close_fds=False the child has the inheritable descriptors, and none of another kind."""
    with open(tmp_path / "a", "w"), open(tmp_path / "b", "w") as second:
        os.set_inheritable(second.fileno(), True)
        listing = result(spawner, ["ls", "-l", "/proc/self/fd"], close_fds=False, stdout=PIPE).output
    assert str(tmp_path / "b").encode() in listing
    assert str(tmp_path / "a").encode() not in listing


def test_pass_fds_overrides_close_fds(spawner: Spawner) -> None:
    """pass_fds with close_fds=False warns, as with Popen."""
    with open(os.devnull) as file, pytest.warns(RuntimeWarning, match="pass_fds overriding close_fds"):
        child = spawned(spawner, ["true"], close_fds=False, pass_fds=[file.fileno()])
    end(child)


def test_pipesize(spawner: Spawner) -> None:
    """A pipe has the size that was asked for."""
    import fcntl

    born = spawned(spawner, ["true"], stdout=PIPE, pipesize=8192)
    assert fcntl.fcntl(born.pipes[1], fcntl.F_GETPIPE_SZ) == 8192
    end(born)


@as_root
def test_parent_stays_traceable(native: Spawner) -> None:
    """A child under another user, with which memory is shared for a moment, does not take the parent's core dumps."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(4, 1, 0, 0, 0) == 0  # PR_SET_DUMPABLE
    assert result(native, ["true"], user=65534, group=65534).returncode == 0
    assert libc.prctl(3, 0, 0, 0, 0) == 1  # PR_GET_DUMPABLE


def test_limits_of_the_parent_stay(native: Spawner) -> None:
    """What is asked for the child is not done to the parent."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE), os.getpriority(os.PRIO_PROCESS, 0), os.umask(0o22)
    result(native, ["true"], rlimits={resource.RLIMIT_NOFILE: (64, 64)}, nice=5, umask=0)
    assert before == (
        resource.getrlimit(resource.RLIMIT_NOFILE),
        os.getpriority(os.PRIO_PROCESS, 0),
        os.umask(before[2]),
    )
