"""The rules of a run, without any job: when it halts, what is tried again, what is free."""

import os
import random
import sys
from typing import NoReturn

import pytest

from governess._programs.units import format_size, parse_seconds, parse_size
from governess.jobs import Backoff, Delay, FreeMemory, Halt, JobOptions, Load, PoolError, RetryOn, State, _gates
from governess.jobs._durations import Median
from governess.jobs._gates import parse_load
from governess.jobs._pools import Pools, parse_pool, parse_token

pytestmark = pytest.mark.windows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("never", Halt()),
        ("0", Halt()),
        ("soon", Halt("soon", "fail", 1)),
        ("now", Halt("now", "fail", 1)),
        ("1", Halt("soon", "fail", 1)),
        ("2", Halt("now", "fail", 1)),
        ("-2", Halt("now", "success", 1)),
        ("30%", Halt("soon", "fail", 30, True)),
        ("now,fail=3", Halt("now", "fail", 3)),
        ("soon,fail=30%", Halt("soon", "fail", 30, True)),
        ("now,success=1", Halt("now", "success", 1)),
        ("now,done=2", Halt("now", "done", 2)),
    ],
)
def test_halt_is_read(text: str, expected: Halt) -> None:
    """All of GNU parallel's forms are understood."""
    assert Halt.parse(text) == expected


@pytest.mark.parametrize("text", ["", "later", "now,fail", "now,fail=0", "soon,fail=200%", "now,win=1", "now,fail=-1"])
def test_halt_that_is_no_rule(text: str) -> None:
    """Anything else is refused, with what was given."""
    with pytest.raises(ValueError, match=repr(text).replace("%", "%")):
        Halt.parse(text)


@pytest.mark.parametrize(
    ("halt", "succeeded", "failed", "total", "reached"),
    [
        ("never", 0, 100, 100, False),
        ("now,fail=2", 5, 1, 10, False),
        ("now,fail=2", 5, 2, 10, True),
        ("soon,fail=30%", 0, 2, 10, False),
        ("soon,fail=30%", 0, 3, 10, True),
        ("soon,fail=30%", 0, 3, None, False),
        ("now,success=1", 1, 5, 10, True),
        ("now,done=2", 1, 1, 10, True),
        ("now,done=50%", 0, 0, 0, False),
    ],
)
def test_when_it_halts(halt: str, succeeded: int, failed: int, total: int | None, reached: bool) -> None:
    """A limit is a number, or a part of all jobs if their number is known."""
    assert Halt.parse(halt).is_reached(succeeded, failed, total) == reached


@pytest.mark.parametrize(
    ("halt", "failed", "started", "total", "ending_status", "status"),
    [
        ("never", 0, 5, 5, None, 0),
        ("never", 100, 200, 200, None, 100),
        ("never", 105, 200, 200, None, 101),
        ("now,fail=1", 3, 3, 5, 7, 7),
        ("now,fail=2", 2, 3, 5, 7, 2),
        ("soon,fail=30%", 3, 4, 10, 7, 30),
        ("soon,fail=30%", 1, 10, 10, None, 10),
        ("now,success=1", 3, 5, 9, 0, 0),
        ("now,success=1", 5, 5, 5, None, 5),
        ("now,done=1", 1, 2, 9, 143, 143),
    ],
)
def test_exit_status(halt: str, failed: int, started: int, total: int, ending_status: int | None, status: int) -> None:
    """The exit status is the one that GNU parallel gives."""
    assert Halt.parse(halt).exit_status(failed, started, total, ending_status) == status


def test_backoff_doubles_up_to_a_limit() -> None:
    """Each pause is twice as long as the one before, at most the limit, and 20 % longer or shorter."""
    backoff = Backoff.parse("1s..5s")
    rng = random.Random(1)
    for tries, middle in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (50, 5.0), (10**9, 5.0)):
        pauses = [backoff.pause(tries, rng) for _ in range(200)]
        assert 0.8 * middle <= min(pauses) < 0.85 * middle
        assert 1.15 * middle < max(pauses) <= 1.2 * middle
    assert Backoff().pause(3) == 0
    assert Backoff.parse("5s") == Backoff(5, 5)
    for wrong in ("", "1s..", "5s..1s", "soon"):
        with pytest.raises(ValueError, match="back-off"):
            Backoff.parse(wrong)


def test_what_is_tried_again() -> None:
    """Exit statuses and reasons are tried again as given; a command that could not start never is."""
    listed = RetryOn.parse("75,timeout")
    assert listed.includes(State.FAILED, 75)
    assert listed.includes(State.TIMEOUT, -15)
    assert not listed.includes(State.FAILED, 1)
    assert not listed.includes(State.FAILED, -9)
    assert not listed.includes(State.MEMORY, -15)
    assert not listed.includes(State.CANCELLED, -15)
    everything = RetryOn()
    assert everything.includes(State.FAILED, 1)
    assert everything.includes(State.FAILED, -9)
    assert everything.includes(State.FAILED, 255, lost=True)
    assert not everything.includes(State.FAILED, 126)
    assert not everything.includes(State.FAILED, 127)
    assert not RetryOn.parse("failure").includes(State.FAILED, -9)
    for wrong in ("0", "sometimes", "127", "-1"):
        with pytest.raises(ValueError, match=wrong):
            RetryOn.parse(wrong)


def test_pools_never_give_more_than_there_is() -> None:
    """What is taken is not free until it is given back; tokens have numbers, the smallest first."""
    pools = Pools(4, 1000, {"gpu": 3})
    first = pools.take(JobOptions(cpus=2, memory=600, tokens={"gpu": 2}))
    assert first is not None
    assert first.variables() == {"GOVERNESS_TOKEN_GPU": "0,1"}
    assert pools.take(JobOptions(cpus=3)) is None
    assert pools.take(JobOptions(memory=500)) is None
    assert pools.take(JobOptions(tokens={"gpu": 2})) is None
    second = pools.take(JobOptions(cpus=2, memory=400, tokens={"gpu": 1}))
    assert second is not None
    assert second.tokens == {"gpu": (2,)}
    pools.give_back(first)
    third = pools.take(JobOptions(memory=600, tokens={"gpu": 2}))
    assert third is not None
    assert third.tokens == {"gpu": (0, 1)}


def test_a_job_that_runs_already_keeps_its_tokens() -> None:
    """What a job of an earlier run has is not free, and goes back when it ends."""
    pools = Pools(2, 1000, {"gpu": 2})
    options = JobOptions(cpus=2, memory=800, tokens={"gpu": 1})
    grant = pools.adopt(options, {"GOVERNESS_TOKEN_GPU": "1"})
    assert pools.take(JobOptions(cpus=1)) is None
    assert pools.take(JobOptions(memory=300)) is None
    other = pools.take(JobOptions(tokens={"gpu": 1}))
    assert other is not None
    assert other.tokens == {"gpu": (0,)}
    assert pools.take(JobOptions(tokens={"gpu": 1})) is None
    pools.give_back(grant)
    assert pools.take(options) is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (JobOptions(cpus=5), "x needs 5 processors, and there are 4"),
        (JobOptions(memory=2000 * 2**20), "x needs 1.953G of memory, and the pool has 1G"),
        (JobOptions(tokens={"disk": 1}), "x needs the token 'disk', of which there is no pool"),
        (JobOptions(tokens={"gpu": 9}), "x needs 9 tokens 'gpu', and the pool has 1"),
    ],
)
def test_a_job_that_never_could_run(options: JobOptions, message: str) -> None:
    """A job that needs more than there is, is refused at once."""
    with pytest.raises(PoolError, match=message):
        Pools(4, 2**30, {"gpu": 1}).check(options, "x")


def test_pools_are_read() -> None:
    """Pools and tokens are written with a name and a number."""
    assert parse_pool("gpu=2") == ("gpu", 2)
    assert parse_pool("memory=1G") == ("memory", 2**30)
    assert parse_pool("cpus=1.5") == ("cpus", 1.5)
    assert parse_token("gpu") == ("gpu", 1)
    assert parse_token("gpu=2") == ("gpu", 2)
    for wrong in ("gpu", "=2", "gpu=0", "gpu=x", "memory=much"):
        with pytest.raises(ValueError, match=r"pool|size"):
            parse_pool(wrong)
    for wrong in ("gpu=0", "cpus", "2"):
        with pytest.raises(ValueError, match="token"):
            parse_token(wrong)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5", 1.5), ("200ms", 0.2), ("1m", 60), ("1h30m", 5400), ("2d", 172800)]
)
def test_seconds(text: str, seconds: float) -> None:
    """Durations have units."""
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "m", "1x", "-1", "1 2", "nan", "inf", "1m30", "9" * 400])
def test_no_seconds(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match=r"duration|too long"):
        parse_seconds(text)


def test_sizes() -> None:
    """Sizes have units of 1024."""
    assert [parse_size(text) for text in ("1", "1k", "500M", "1.5G", "2GiB")] == [
        1, 1024, 500 * 2**20, 3 * 2**29, 2**31
    ]  # fmt: skip
    assert [format_size(size) for size in (12, 500 * 2**20, 3 * 2**29)] == ["12", "500M", "1.5G"]
    for wrong in ("", "0", "M", "1X", "-1M"):
        with pytest.raises(ValueError, match=r"size|byte"):
            parse_size(wrong)


def test_median() -> None:
    """The median is that of all values, the lower one of two."""
    median = Median()
    seen = []
    for value in random.Random(1).sample(range(1000), 101):
        median.add(value)
        seen.append(value)
        assert median.value == sorted(seen)[(len(seen) - 1) // 2]
    assert len(median) == 101


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs and how much memory there is comes from /proc; without it, from what POSIX has."""
    total = _gates.total_memory()
    assert total is not None
    assert 0 < (_gates.free_memory() or 0) < total
    assert _gates.running_processes() >= 0

    def no_proc(path: str, mode: str) -> NoReturn:
        raise FileNotFoundError(path)

    monkeypatch.setattr(_gates, "open", no_proc, raising=False)
    assert _gates.free_memory() is None
    assert _gates.running_processes() >= 0
    assert total == pytest.approx(_gates.total_memory(), rel=0.01)
    monkeypatch.setattr(os, "sysconf", int)  # which takes no name
    assert _gates.total_memory() is None


def test_gates() -> None:
    """A start is held back until the delay is over, the load is low, and memory is free."""
    delay = Delay(2)
    assert delay.pause(10, 0) == 0
    delay.started(10)
    assert delay.pause(10.5, 1) == 1.5
    assert delay.pause(12, 1) == 0

    loads = iter([5.0, 1.0])
    load = Load(2, lambda: next(loads))
    assert 0 < load.pause(10, 0) <= 0.25
    assert load.pause(10.1, 0) > 0
    assert load.pause(10.3, 0) == 0
    load.started(10.3)
    assert load.pause(10.3, 0) > 0  # the one that starts is not counted yet

    free = iter([100, 1000])
    memory = FreeMemory(500, lambda: next(free))
    assert memory.pause(10, 3) > 0
    assert memory.pause(10.3, 3) == 0
    assert FreeMemory(500, lambda: None).pause(10, 3) == 0

    assert parse_load("150%", 4) == 6
    assert parse_load("3", 4) == 3
    for wrong in ("", "0", "-1", "much"):
        with pytest.raises(ValueError, match="processors"):
            parse_load(wrong, 4)
