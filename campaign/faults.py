"""Which system calls can be made to fail, and how; the preloaded shim does it.

Only what an application can meet: limits (EMFILE, ENFILE, ENOMEM, EAGAIN), sandboxes and old kernels (EPERM, ENOSYS,
EINVAL), and signals (EINTR). What cannot fail in a real system (closing, signalling an own child by its number) does
not fail here either: nobody could end a child then.
"""

from __future__ import annotations

import ctypes
import errno
import random
import termios
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FAULTS", "Fault", "Shim"]

ANY = -1
P_PID, P_PIDFD = 1, 3
WNOHANG = 1
PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE = 1, 3, 4
PIDFD_GET_INFO = 0xC040FF0B
F_SETPIPE_SZ = 1031
F_DUPFD_CLOEXEC = 1030
# The numbers of system calls are the same on every architecture from 424 on; tgkill's is not, and needs no fault.
PIDFD_SEND_SIGNAL, PIDFD_OPEN, CLOSE_RANGE = 424, 434, 436

LIMITS = ("EMFILE", "ENFILE", "ENOMEM")
SANDBOX = ("EPERM", "ENOSYS", "EINVAL")


@dataclass(frozen=True, slots=True)
class Fault:
    """A call that can fail.

    Attributes:
        name: for people.
        call: the function of the C library.
        errors: the names of the errors that it can fail with.
        detail: which of its calls, as the shim tells them apart; ANY for all.
        weight: how often it fails, relative to the others; frequent calls have small ones.
    """

    name: str
    call: str
    errors: tuple[str, ...]
    detail: int = ANY
    weight: float = 1.0


FAULTS = (
    # the start of a child
    Fault("clone with a pidfd", "clone", (*LIMITS, "EAGAIN", *SANDBOX), 1),
    Fault("clone", "clone", ("EAGAIN", "ENOMEM", *SANDBOX), 0),
    Fault("vfork", "vfork", ("EAGAIN", "ENOMEM", "EPERM", "ENOSYS")),
    Fault("fork", "fork", ("EAGAIN", "ENOMEM", "EPERM", "ENOSYS")),
    Fault("pthread_create", "pthread_create", ("EAGAIN", "EPERM")),
    Fault("mmap of a stack", "mmap", ("ENOMEM",)),
    Fault("mmap of a stack (64)", "mmap64", ("ENOMEM",)),
    Fault("unshare", "unshare", ("EPERM", "ENOMEM", "EINVAL")),
    Fault("sched_getaffinity", "sched_getaffinity", ("EPERM", "ENOSYS", "EINVAL")),
    Fault("pipe2", "pipe2", ("EMFILE", "ENFILE")),
    Fault("F_SETPIPE_SZ", "fcntl", ("EPERM", "ENOMEM", "EBUSY"), F_SETPIPE_SZ),
    Fault("openpty", "openpty", (*LIMITS, "EAGAIN", "ENOSPC")),
    # the child, up to exec
    Fault("execve", "execve", (*LIMITS, "EAGAIN", "EPERM", "EACCES", "ETXTBSY", "EINVAL")),
    Fault("chdir", "chdir", ("ENOMEM", "EACCES")),
    Fault("setsid", "setsid", ("EPERM",)),
    Fault("setpgid", "setpgid", ("EPERM", "EACCES")),
    Fault("setrlimit", "setrlimit64", ("EPERM",)),
    Fault("setpriority", "setpriority", ("EACCES", "EPERM")),
    Fault("TIOCSCTTY", "ioctl", ("EPERM",), termios.TIOCSCTTY),
    Fault("PR_SET_PDEATHSIG", "prctl", SANDBOX, PR_SET_PDEATHSIG),
    Fault("close_range", "syscall", SANDBOX, CLOSE_RANGE),
    Fault("F_DUPFD_CLOEXEC", "fcntl", ("EMFILE",), F_DUPFD_CLOEXEC),
    Fault("dup2", "dup2", ("EMFILE",)),
    Fault("nanosleep", "nanosleep", ("EINTR",)),
    # pidfds, signals and the reap
    Fault("pidfd_open", "syscall", (*LIMITS, *SANDBOX), PIDFD_OPEN),
    Fault("pidfd_send_signal", "syscall", SANDBOX, PIDFD_SEND_SIGNAL),
    Fault("PIDFD_GET_INFO", "ioctl", ("ENOMEM", "ENOTTY", *SANDBOX), PIDFD_GET_INFO),
    Fault("waitid of a pidfd", "waitid", SANDBOX, P_PIDFD, 0.5),
    Fault("waitid, blocking or not", "waitid", ("EINTR",), P_PID),
    Fault("waitpid, blocking", "waitpid", ("EINTR",), 0),
    Fault("wait4, blocking", "wait4", ("EINTR",), 0),
    # the loop and its descriptors
    Fault("eventfd", "eventfd", LIMITS),
    Fault("epoll_create1", "epoll_create1", LIMITS),
    Fault("EPOLL_CTL_ADD", "epoll_ctl", ("ENOMEM", "ENOSPC", "EPERM"), 1),
    Fault("epoll_wait", "epoll_wait", ("EINTR",), ANY, 0.3),
    Fault("epoll_pwait", "epoll_pwait", ("EINTR",), ANY, 0.3),
    Fault("poll", "poll", ("EINTR", "ENOMEM", "EINVAL")),
    Fault("socketpair", "socketpair", LIMITS),
    Fault("dup", "dup", ("EMFILE",)),
    Fault("open", "open", LIMITS, ANY, 0.3),
    Fault("opendir", "opendir", LIMITS),
    Fault("read", "read", ("EINTR",), ANY, 0.2),
    Fault("read of a pipe", "read", ("EAGAIN",), 1, 0.5),
    Fault("write", "write", ("EINTR",), ANY, 0.2),
    Fault("write to a pipe", "write", ("EAGAIN",), 1, 0.5),
    Fault("send", "send", ("EINTR",), ANY, 0.2),
    Fault("recv", "recv", ("EINTR",), ANY, 0.2),
)


class Shim:
    """The shim that is preloaded into this process."""

    def __init__(self, path: Path) -> None:
        """Load the handle of the shim, which must be the preloaded file."""
        self._library = ctypes.CDLL(str(path))
        self._library.campaign_seen.restype = self._library.campaign_fired.restype = ctypes.c_uint64
        self._rules: list[tuple[Fault, str]] = []
        self._seed = self._limit = 0

    def spare(self, *, library: str) -> None:
        """Let this library's epoll_ctl() and pipe2() alone: libuv calls abort() when they fail."""
        pieces = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if library in line]
        if pieces:
            first, last = pieces[0].split("-")[0], pieces[-1].split("-")[1]
            self._library.campaign_spare(ctypes.c_size_t(int(first, 16)), ctypes.c_size_t(int(last, 16)))

    def choose_some(self, rng: random.Random) -> None:
        """Choose one call that fails once, or a rain of faults."""
        if rng.random() < 0.3:
            fault = rng.choice(FAULTS)
            self.choose_one(fault, rng.choice(fault.errors), rng.randint(1, 30))
        else:
            self.choose(rng, rng.choice((0.003, 0.03, 0.3)), rng.choice((3, 10, 30)))

    def choose(self, rng: random.Random, probability: float, limit: int) -> None:
        """Choose calls that fail from `resume` on, each with one of its errors.

        Args:
            rng: decides which.
            probability: of a fault at a call.
            limit: how many faults there may be.
        """
        self._library.campaign_clear()
        chosen = rng.sample(FAULTS, rng.randint(3, 16))
        self._rules = [(fault, rng.choice(fault.errors)) for fault in chosen]
        for fault, error in self._rules:
            threshold = int(min(probability * fault.weight, 1.0) * (2**32 - 1))
            self._add(fault, error, threshold, 0)
        self._seed, self._limit = rng.getrandbits(64), limit

    def choose_one(self, fault: Fault, error: str, at: int) -> None:
        """Choose one call, whose `at`-th one fails."""
        self._library.campaign_clear()
        self._rules = [(fault, error)]
        self._add(fault, error, 0, at)
        self._seed, self._limit = at, 1

    def resume(self) -> None:
        """Let the chosen calls fail from now on."""
        self._library.campaign_arm(ctypes.c_uint64(self._seed), ctypes.c_long(self._limit))

    def pause(self) -> None:
        """Let nothing fail until the next `resume`."""
        self._library.campaign_disarm()

    def end(self) -> Counter[tuple[str, str]]:
        """Let nothing fail any more; return how many faults there were, by call and error."""
        self.pause()
        return Counter(
            {
                (fault.name, error): fired
                for number, (fault, error) in enumerate(self._rules)
                if (fired := self._library.campaign_fired(number))
            }
        )

    def describe(self) -> str:
        """Return the rules, with how many faults there were and how many calls."""
        library = self._library
        return ", ".join(
            f"{fault.name} {error} {library.campaign_fired(number)} of {library.campaign_seen(number)}"
            for number, (fault, error) in enumerate(self._rules)
            if library.campaign_fired(number)
        )

    @property
    def errors(self) -> frozenset[int]:
        """The errors that the rules have."""
        return frozenset(getattr(errno, error) for _, error in self._rules)

    def _add(self, fault: Fault, error: str, threshold: int, at: int) -> None:
        number = self._library.campaign_add(
            fault.call.encode(),
            ctypes.c_long(fault.detail),
            getattr(errno, error),
            ctypes.c_uint32(threshold),
            ctypes.c_uint64(at),
        )
        assert number >= 0, "there are too many rules"
