"""The group that a child leads can be signalled as long as somebody wants it, whoever reaps the leader."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from governess.children import Child, Group, _group, _session, adopt
from governess.children import _pidfd as pidfd
from governess.children._procfs import read_stat
from governess.children._session import Session

#: A leader that leaves a member of its group behind, which tells its number.
LEAVES_ONE = "sleep 60 & echo $!"


@pytest.fixture(params=["pidfd of the group", "number of the group", "no pidfd"])
def mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "number of the group":
        monkeypatch.setattr(_group, "_PIDFD_SIGNAL_PROCESS_GROUP", 1 << 20)  # EINVAL, as before Linux 6.9
    elif request.param == "no pidfd":
        monkeypatch.setattr(pidfd, "open_pidfd", lambda pid: None)
    else:
        with contextlib.closing(Group(start("true")[0])) as group:
            group.leader.wait_for_exit()
            group.leader.reap()
            if group._pidfd is None:
                pytest.skip("this kernel has no PIDFD_SIGNAL_PROCESS_GROUP")
    return request.param


def start(script: str, session: bool = False) -> tuple[Child, int]:
    leads: dict[str, Any] = {"start_new_session": True} if session else {"process_group": 0}
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, **leads)
    process.returncode = 0
    with process.stdout:
        member = int(process.stdout.readline() or 0)
    return adopt(process.pid), member


@contextlib.contextmanager
def group_without_leader() -> Iterator[tuple[Group, int]]:
    """A group whose leader has exited, and been told of; its number is that of a member which lives."""
    child, member = start(LEAVES_ONE)
    with contextlib.closing(Group(child)) as group:
        child.wait_for_exit()
        assert child.reap() == 0
        yield group, os.pidfd_open(member)


def ended(member: int) -> bool:
    try:
        return pidfd.has_exited(member, 10)
    finally:
        os.close(member)


def test_signal_after_the_end_of_the_leader(mechanism: str) -> None:
    """Whoever outlives the leader can be signalled, and is seen to live."""
    with group_without_leader() as (group, member):
        assert not asyncio.run(group.emptied(0.01))
        group.signal(signal.SIGTERM)
        assert ended(member)
        assert asyncio.run(group.emptied(10))


def test_end(mechanism: str) -> None:
    """It is ended like any other when its leader is gone."""
    with group_without_leader() as (group, member):
        asyncio.run(group.end(grace=60))
        assert ended(member)


def test_rusage_is_known_at_the_latest_at_the_end(mechanism: str) -> None:
    """The resources of the leader are known when the group is given up, if they were not before."""
    with group_without_leader() as (group, member):
        group.kill()
        assert ended(member)
    assert group.leader.exit.rusage is not None


def test_thief(mechanism: str) -> None:
    """When somebody else reaps the leader, the group is reached by its pidfd, and by its number never."""
    child, number = start(LEAVES_ONE)
    member = os.pidfd_open(number)
    with contextlib.closing(Group(child)) as group:
        os.waitpid(child.pid, 0)
        child.reap()
        if mechanism == "pidfd of the group":
            group.signal(signal.SIGKILL)
        else:
            with pytest.raises(ProcessLookupError):
                group.signal(signal.SIGKILL)
            os.kill(number, signal.SIGKILL)
    assert ended(member)


def test_cheap_when_nobody_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pidfd of the group, /proc is not searched for members of a group whose leader was the last."""
    child, _ = start("true")
    with contextlib.closing(Group(child)) as group:
        if group._pidfd is None:
            pytest.skip("this kernel has no PIDFD_SIGNAL_PROCESS_GROUP")
        child.wait_for_exit()
        child.reap()
        monkeypatch.setattr(os, "listdir", lambda path: pytest.fail("searched"))
        asyncio.run(group.end(grace=60))


@pytest.mark.parametrize("kind", [Group, Session])
def test_other_processes_are_not_looked_at(kind: type[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    """To see whether a member lives, only /proc/PID/stat of members is read, however many other processes run."""
    child, member = start(f"trap '' TERM; {LEAVES_ONE}; wait", session=kind is Session)
    read: set[int] = set()
    for module in _group, _session:
        monkeypatch.setattr(module, "read_stat", lambda pid: read.add(pid) or read_stat(pid))
    monkeypatch.setattr(_group, "CAN_PEEK", False)  # as after the exit of the leader, which remains a zombie

    with contextlib.closing(kind(child)) as group:
        assert not asyncio.run(group.emptied(0.01))
        assert {child.pid, member} & read
        assert read <= {child.pid, member}
        asyncio.run(group.end(grace=0.0))
    child.wait_for_exit()
    child.reap()


def test_session_is_listed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that was started after the first list was read is found in a second one."""
    child, member = start(f"trap '' TERM; {LEAVES_ONE}; wait", session=True)
    lists = [[], [member]]
    with contextlib.closing(Session(child)) as session:
        with monkeypatch.context() as patch:
            patch.setattr(_session, "process_numbers", lambda: iter(lists.pop(0)))
            assert session._lives(0.0)
        assert not lists
        session.kill()
    child.wait_for_exit()
    child.reap()


def test_a_member_that_is_started_meanwhile_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the members that were listed have started others and exited, the group is alive."""
    monkeypatch.setattr(_group._Snapshot, "MAX_AGE", 3600.0)
    with group_without_leader() as (group, member):
        number, began = group.leader.pid, time.monotonic()
        assert _group._snapshot.has_living_member(number, began)
        with subprocess.Popen(["sleep", "60"], process_group=number) as other:
            signal.pidfd_send_signal(member, signal.SIGKILL)
            assert ended(member)
            meanwhile = _group._snapshot.has_living_member(number, began)
            group.kill()
        assert meanwhile
        assert other.returncode == -signal.SIGKILL
        assert not _group._snapshot.has_living_member(number, began)


def test_where_an_end_cannot_be_seen_without_a_reap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without os.waitid (macOS before Python 3.13) a group is ended too, and its leader's end is told after that."""
    for module in ("_exit", "_child", "_group"):
        monkeypatch.setattr(f"governess.children.{module}.CAN_PEEK", False)
    monkeypatch.setattr(pidfd, "open_pidfd", lambda pid: None)
    child, number = start("(trap '' TERM; sleep 60) & echo $!; wait")
    member = os.pidfd_open(number)
    with contextlib.closing(Group(child)) as group:
        asyncio.run(group.end(grace=0.1))
    assert ended(member)
    while child.reap() is None:
        child.wait_for_exit(0.01)
    assert child.exit in (-signal.SIGTERM, -signal.SIGKILL)


def test_call_that_is_refused_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sandbox that comes later, a group is signalled by its number; with its leader reaped, it is closed."""

    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    child, member = start(LEAVES_ONE + "; sleep 60")
    with contextlib.closing(Group(child)) as group:
        monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
        group.signal(signal.SIGTERM)
        assert ended(os.pidfd_open(member))
        child.wait_for_exit()
        assert child.reap() == -signal.SIGTERM
        if group._pidfd is not None:  # Linux 6.9 and later
            with pytest.raises(PermissionError):
                group.signal(signal.SIGTERM)
        group.kill()
