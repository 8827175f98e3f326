"""Sandboxes without some pidfd calls, as container runtimes make them; an old kernel looks the same from inside."""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable

__all__ = ["CALLS", "HAS_SANDBOX", "forbid", "forbid_pidfd"]

# Numbers of system calls, by the machine.
NUMBERS = {
    "x86_64": {"seccomp": 317, "clone": 56, "waitid": 247, "ioctl": 16},
    "aarch64": {"seccomp": 277, "clone": 220, "waitid": 95, "ioctl": 29},
}.get(platform.machine(), {})
PIDFD_SEND_SIGNAL, PIDFD_OPEN, CLONE3 = 424, 434, 435
CLONE_PIDFD, P_PIDFD, PIDFD_GET_INFO = 0x1000, 3, 0xC040FF0B

HAS_SANDBOX = bool(NUMBERS) and hasattr(ctypes.CDLL(None), "syscall")

# include/uapi/linux/bpf_common.h and seccomp.h
LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_SET, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 16, 24  # offsets in struct seccomp_data, little-endian
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 38, 1, 1

#: What can be forbidden: the number of the call, and for some of them an argument's offset, the test and the value.
CALLS: dict[str, tuple[int, int | None, int, int]] = {
    "pidfd_open": (PIDFD_OPEN, None, 0, 0),
    "pidfd_send_signal": (PIDFD_SEND_SIGNAL, None, 0, 0),
    "clone with a pidfd": (NUMBERS.get("clone", 0), FIRST_ARGUMENT, JUMP_IF_SET, CLONE_PIDFD),
    "waitid of a pidfd": (NUMBERS.get("waitid", 0), FIRST_ARGUMENT, JUMP_IF_EQUAL, P_PIDFD),
    "information of a pidfd": (NUMBERS.get("ioctl", 0), SECOND_ARGUMENT, JUMP_IF_EQUAL, PIDFD_GET_INFO),
}


def forbid_pidfd(error: int) -> None:
    """Let every call that makes or signals a pidfd fail with this errno, in all threads of this process, for ever."""
    forbid(("pidfd_open", "pidfd_send_signal", "clone with a pidfd"), error)
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as refused:
        if refused.errno != error:
            raise
    else:
        raise AssertionError("the sandbox leaks")


def forbid(names: Iterable[str], error: int) -> None:
    """Let these of `CALLS` fail with this errno, in all threads of this process, for ever."""
    steps = [(LOAD_WORD, 0, 0, NUMBER)]
    # So that the C library takes clone, whose flags can be seen here.
    steps += [(JUMP_IF_EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    refusal = (RETURN, 0, 0, ERRNO | error)
    for name in names:
        number, offset, test, value = CALLS[name]
        if offset is None:
            steps += [(JUMP_IF_EQUAL, 0, 1, number), refusal]
        else:
            steps += [(JUMP_IF_EQUAL, 0, 4, number), (LOAD_WORD, 0, 0, offset), (test, 0, 1, value), refusal]
            steps += [(LOAD_WORD, 0, 0, NUMBER)]
    program = _assembled(*steps, (RETURN, 0, 0, ALLOW))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(NUMBERS["seccomp"], SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, program) != 0:
        raise OSError(ctypes.get_errno(), "no seccomp here")


def _assembled(*instructions: tuple[int, int, int, int]) -> ctypes.Array[ctypes.c_char]:
    """Return a struct sock_fprog, which keeps what it points to."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in instructions))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(instructions), ctypes.addressof(code)))
    program.code = code  # type: ignore[attr-defined]
    return program
