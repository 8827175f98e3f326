"""The program of the guardian: it ends what it is told of when its parent is gone.

`client` starts it, as ``python -I -S``. It imports little, since its start is paid for with the first child: no
`signal` and no `socket`, which make enumerations, and nothing else of governess.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports]
import _socket
import os
import resource
import select
import sys
import time

__all__ = ["FORGET", "FORGET_ALL", "GROUP", "PROCESS", "SESSION", "WORDS", "main"]

# A message is some records, each of four 64-bit words: a key, one of these orders, a pid, and whether the kernel sends
# its process the TERM. With those that are not FORGET come the pidfds of the processes, in the same order.
WORDS = 4
FORGET_ALL, FORGET, PROCESS, GROUP, SESSION = range(5)

_PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2  # include/uapi/linux/pidfd.h, since Linux 6.9
_SCM_MAX_FD = 253  # net/scm.h: the most descriptors in one message

# After a message it sleeps for this time, in seconds: what comes meanwhile costs no further wake-up. The socket holds
# the messages of some 130 children.
_NAP = 0.05

# How long a KILL is repeated for processes that start others meanwhile, in seconds.
_LAST_ROUNDS = 1.0


class Tree:
    """A process, or the group or session that it leads.

    Attributes:
        scope: PROCESS, GROUP or SESSION.
        pid: the number of the process, and of what it leads.
        has_death_signal: whether the kernel sends the process itself a TERM when its parent dies (PR_SET_PDEATHSIG).
        pidfd: stands for the process, which may be reaped by now.
    """

    __slots__ = ("has_death_signal", "pid", "pidfd", "scope")

    def __init__(self, scope: int, pid: int, has_death_signal: bool, pidfd: int) -> None:
        self.scope = scope
        self.pid = pid
        self.has_death_signal = has_death_signal
        self.pidfd = pidfd

    def has_number(self) -> bool:
        """Return whether `pid` still is the number of this process, group or session, and not of a stranger's.

        As long as anybody is in a group, its number is given to no process. So once the leader is reaped, the number of
        another process is that of another group.
        """
        if not isinstance(_send(self.pidfd, 0), ProcessLookupError):
            return True  # the leader is not reaped
        if self.scope == GROUP:
            error = _send(self.pidfd, 0, _PIDFD_SIGNAL_PROCESS_GROUP)
            if error is None or isinstance(error, (ProcessLookupError, PermissionError)):
                return not isinstance(error, ProcessLookupError)
        return self.scope != PROCESS and not os.path.exists(f"/proc/{self.pid}")

    def send(self, pid: int, number: int) -> None:
        """Send a signal to one of its processes, and to nobody who has got its number meanwhile."""
        if pid == self.pid:
            _send(self.pidfd, number)
            return
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return
        if _numbers_of(pid).get(self.scope) == self.pid:
            _send(pidfd, number)
        os.close(pidfd)

    def kill_group(self) -> None:
        """Send KILL to the whole group in one step, which a process that forks cannot escape, where that works."""
        if self.scope != PROCESS:
            _send(self.pidfd, _signal.SIGKILL, _PIDFD_SIGNAL_PROCESS_GROUP)


def _send(pidfd: int, number: int, flags: int = 0) -> OSError | None:
    """Send a signal; return why that does not work."""
    try:
        _signal.pidfd_send_signal(pidfd, number, None, flags)
    except OSError as error:
        return error
    return None


def main() -> None:
    """Be the guardian of the process that is named in the arguments; return when there is nothing left to do."""
    parent, grace, linger = int(sys.argv[-3]), float(sys.argv[-2]), float(sys.argv[-1])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connection = _socket.socket(fileno=0)
    connection.setblocking(False)
    trees: dict[int, Tree] = {}
    if _serve(connection, parent, linger, trees):
        connection.close()  # if descriptors are short, these are enough to read /proc
        os.closerange(1, 3)
        _end(list(trees.values()), grace)


def _serve(connection: _socket.socket, parent: int, linger: float, trees: dict[int, Tree]) -> bool:
    """Take messages until the parent is gone; return False if it lives, but has had nothing here for a while.

    The parent is gone when nobody holds the other end of the socket; also when another program is in its place. A
    process that it has forked may hold that end, so its pidfd is looked at, too.
    """
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    try:
        pidfd = os.pidfd_open(parent)
        poller.register(pidfd, select.POLLIN)
    except ProcessLookupError:
        pidfd = -1
    is_gone = os.getppid() != parent
    while True:
        if is_gone or not _take_all(connection, trees):
            _take_all(connection, trees)
            return True
        ready = poller.poll(None if trees else linger * 1000)
        if not ready and not trees:
            return False
        is_gone = any(descriptor == pidfd for descriptor, _ in ready)
        time.sleep(0 if is_gone else _NAP)


def _take_all(connection: _socket.socket, trees: dict[int, Tree]) -> bool:
    """Take the messages that are there; return False if the other end is closed."""
    while True:
        try:
            data, ancillary, _, _ = connection.recvmsg(
                8 * WORDS * _SCM_MAX_FD, _socket.CMSG_SPACE(4 * _SCM_MAX_FD), _socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        # Descriptors that found no place here are missing at the end: the kernel ends those processes, not their trees.
        pidfds = [pidfd for _, _, sent in ancillary for pidfd in memoryview(sent).cast("i")]
        words = memoryview(data).cast("q")
        for start in range(0, len(words), WORDS):
            key, order, pid, has_death_signal = words[start : start + WORDS]
            if order == FORGET_ALL:
                _forget(list(trees), trees)
            elif order == FORGET:
                _forget([key], trees)
            elif pidfds:
                _forget([key], trees)  # it may be told of by the child and by its parent
                trees[key] = Tree(order, pid, bool(has_death_signal), pidfds.pop(0))


def _forget(keys: list[int], trees: dict[int, Tree]) -> None:
    for key in keys:
        if (tree := trees.pop(key, None)) is not None:
            os.close(tree.pidfd)


def _end(trees: list[Tree], grace: float) -> None:
    """End them as `Group.end` does: TERM and CONT, and KILL after the grace; and HUP for sessions, as `Session`."""
    for pid, tree in sorted(_living(trees), key=lambda each: each[0] != each[1].pid):  # leaders first, as there
        if pid != tree.pid or not tree.has_death_signal:  # a second TERM means "at once" to some programs
            tree.send(pid, _signal.SIGTERM)
        if tree.scope == SESSION:
            tree.send(pid, _signal.SIGHUP)
        tree.send(pid, _signal.SIGCONT)
    deadline, pause = time.monotonic() + grace, 0.01
    while (left := _living(trees)) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    deadline = time.monotonic() + _LAST_ROUNDS
    while left and time.monotonic() < deadline:
        for tree in {tree for _, tree in left}:
            tree.kill_group()
        for pid, tree in left:
            tree.send(pid, _signal.SIGKILL)
        time.sleep(0.01)
        left = _living(trees)


def _living(trees: list[Tree]) -> list[tuple[int, Tree]]:
    """Return the living processes of the trees; without /proc, those that lead them."""
    by_number = {(tree.scope, tree.pid): tree for tree in trees if tree.has_number()}
    if not by_number:
        return []
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return [(tree.pid, tree) for tree in by_number.values() if not _has_exited(tree.pidfd)]
    found = []
    for pid in pids:
        tree = next((by_number[own] for own in _numbers_of(pid).items() if own in by_number), None)
        if tree is not None:
            found.append((pid, tree))
    return found


def _has_exited(pidfd: int) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))


def _numbers_of(pid: int) -> dict[int, int]:
    """Return the numbers of the process, its group and its session (proc_pid_stat(5)); none if it does not live."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return {}
    if fields[0] in (b"Z", b"X"):
        return {}
    return {PROCESS: pid, GROUP: int(fields[2]), SESSION: int(fields[3])}
