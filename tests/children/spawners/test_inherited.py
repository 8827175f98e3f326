"""What a child inherits: what the calling thread has at the moment of the call, and nothing of another thread's."""

import asyncio
import ctypes
import os
import platform
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from governess.children._spawn import Spawner
from spawning import result

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a thread has attributes of its own on Linux alone")

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, CAP_SYS_PTRACE = 38, 24, 19
CLONE_FS, CLONE_NEWPID, CLONE_NEWUTS = 0x200, 0x20000000, 0x04000000
IOPRIO_WHO_PROCESS, IDLE_CLASS = 1, 3 << 13
IOPRIO_SET = {"x86_64": 251, "aarch64": 30}.get(platform.machine())


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def pin() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def be_nice() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + 3)


def be_batch() -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def lower_io_priority() -> None:
    checked(libc.syscall(IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, IDLE_CLASS))


def renounce_privileges() -> None:
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def drop_a_capability() -> None:
    checked(libc.prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0))


def filter_system_calls() -> None:
    """A filter that lets everything pass."""
    renounce_privileges()
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))
    program = ctypes.create_string_buffer(struct.pack("@HP", 1, ctypes.addressof(code)))
    checked(libc.prctl(22, 2, program, 0, 0))


def move_away() -> None:
    checked(libc.unshare(CLONE_FS))
    os.chdir("/usr")
    os.umask(0o027)


def have_another_host_name() -> None:
    checked(libc.unshare(CLONE_NEWUTS))


STATUS = "cat /proc/self/status"
CHANGES: dict[str, tuple[Callable[[], None], str, Callable[[], str]]] = {
    "affinity": (pin, "grep ^Cpus_allowed_list: /proc/self/status", lambda: of_thread("Cpus_allowed_list:")),
    "niceness": (be_nice, "nice", lambda: str(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))),
    "scheduler": (be_batch, "cut -d' ' -f41 /proc/self/stat", lambda: str(os.sched_getscheduler(0))),
    "no new privileges": (
        renounce_privileges,
        "grep ^NoNewPrivs: /proc/self/status",
        lambda: of_thread("NoNewPrivs:"),
    ),
    "capabilities": (drop_a_capability, "grep ^CapBnd: /proc/self/status", lambda: of_thread("CapBnd:")),
    "seccomp": (filter_system_calls, "grep ^Seccomp: /proc/self/status", lambda: of_thread("Seccomp:")),
    "cwd": (move_away, "pwd", os.getcwd),
    "umask": (move_away, "grep ^Umask: /proc/self/status", lambda: of_thread("Umask:")),
    "namespaces": (
        have_another_host_name,
        "readlink /proc/self/ns/uts",
        lambda: os.readlink("/proc/thread-self/ns/uts"),
    ),
}
if IOPRIO_SET is not None:
    CHANGES["I/O priority"] = (lower_io_priority, "ionice", lambda: "idle")


def of_thread(name: str) -> str:
    """Return a line of this thread's status."""
    with open("/proc/thread-self/status") as file:
        return next(line.strip() for line in file if line.startswith(name))


def output(spawner: Spawner, script: str, loop_factory: Callable, **options: Any) -> str:
    return result(spawner, ["sh", "-c", script], loop_factory, stdout=-1, **options).output.decode().strip()


def in_thread(function: Callable[[], str]) -> str:
    """Return what the function returns in a thread that ends with it, and so with what it changes."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if isinstance(outcome[0], PermissionError):
        pytest.skip(f"not allowed here: {outcome[0]}")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


@pytest.mark.parametrize("attribute", CHANGES)
def test_the_callers_attributes(spawner: Spawner, attribute: str, loop_factory: Callable) -> None:
    """A child has what its caller's thread has just set; a child of another thread has none of it."""
    change, script, of_caller = CHANGES[attribute]
    before = output(spawner, script, loop_factory)

    def changed() -> str:
        change()
        shown = output(spawner, script, loop_factory)
        assert shown == of_caller()
        return shown

    assert in_thread(changed) != before
    assert output(spawner, script, loop_factory) == before


def test_many_at_once_have_their_own_callers_attributes(spawner: Spawner) -> None:
    """Starts that wait for each other in two threads, one of them niced, are not mixed up."""

    def run(change: Callable[[], None]) -> str:
        change()

        async def main() -> list[str]:
            born = await asyncio.gather(*(spawner.spawn(nice) for _ in range(100)))
            return [shown_by(spawned.claim()) for spawned in born]

        return "".join(sorted(set(asyncio.run(main()))))

    def shown_by(born: Any) -> str:
        return end(born).output.decode()

    from spawning import command, end

    nice = command(["nice"], stdout=-1)
    outcomes: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda name=name, change=change: outcomes.update({name: run(change)}))
        for name, change in {"niced": be_nice, "plain": lambda: None}.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert outcomes == {"niced": f"{own + 3}\n", "plain": f"{own}\n"}


def test_a_new_pid_namespace(spawner: Spawner, loop_factory: Callable) -> None:
    """After unshare(CLONE_NEWPID) no thread can be made, but a child can: the caller starts it itself."""

    def first_of_its_namespace() -> str:
        checked(libc.unshare(CLONE_NEWPID))
        return output(spawner, "echo $$", loop_factory)

    assert in_thread(first_of_its_namespace) == "1"
