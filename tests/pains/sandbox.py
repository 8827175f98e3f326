"""A sandbox without pidfds, as old container runtimes make it; an old kernel looks the same from inside."""

import ctypes
import errno
import os
import platform
import struct

__all__ = ["HAS_SANDBOX", "forbid_pidfd"]

# Numbers of system calls, by the machine.
NUMBERS = {"x86_64": {"seccomp": 317, "clone": 56}, "aarch64": {"seccomp": 277, "clone": 220}}
PIDFD_SEND_SIGNAL, PIDFD_OPEN, CLONE3 = 424, 434, 435
CLONE_PIDFD = 0x1000

HAS_SANDBOX = platform.machine() in NUMBERS and hasattr(ctypes.CDLL(None), "syscall")

# include/uapi/linux/bpf_common.h and seccomp.h
LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_SET, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data, little-endian
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 38, 1, 1


def forbid_pidfd(error: int) -> None:
    """Let every call that needs a pidfd fail with this errno, in all threads of this process, for ever."""
    numbers = NUMBERS[platform.machine()]
    program = _assembled(
        (LOAD_WORD, 0, 0, NUMBER),
        (JUMP_IF_EQUAL, 0, 1, CLONE3),
        (RETURN, 0, 0, ERRNO | errno.ENOSYS),  # so that the C library takes clone, whose flags can be seen here
        (JUMP_IF_EQUAL, 4, 0, PIDFD_OPEN),
        (JUMP_IF_EQUAL, 3, 0, PIDFD_SEND_SIGNAL),
        (JUMP_IF_EQUAL, 0, 3, numbers["clone"]),
        (LOAD_WORD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF_SET, 0, 1, CLONE_PIDFD),
        (RETURN, 0, 0, ERRNO | error),
        (RETURN, 0, 0, ALLOW),
    )
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(numbers["seccomp"], SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, program) != 0:
        raise OSError(ctypes.get_errno(), "no seccomp here")
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as refused:
        if refused.errno != error:
            raise
    else:
        raise AssertionError("the sandbox leaks")


def _assembled(*instructions: tuple[int, int, int, int]) -> ctypes.Array[ctypes.c_char]:
    """Return a struct sock_fprog, which keeps what it points to."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in instructions))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(instructions), ctypes.addressof(code)))
    program.code = code  # type: ignore[attr-defined]
    return program
