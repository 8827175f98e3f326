"""Which job goes to which worker; without a cluster."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from governess.jobs._journal.reader import TryRecord
from governess.jobs._lanes import lanes_of
from governess.jobs._states import State
from governess.jobs.dask._placing import Pace, Waiting, to_withdraw
from governess.jobs.dask._versions import misfits


@dataclass
class Info:
    threads: int


@dataclass
class Worker:
    """What placing asks of a worker."""

    address: str
    info: Info
    free: dict[str, float] = field(default_factory=dict)
    jobs: dict[str, Any] = field(default_factory=dict)

    def fits(self, needs: dict[str, float]) -> bool:
        return all(self.free.get(name, 0) >= count for name, count in needs.items())

    def add(self, job: "Placed") -> None:
        self.jobs[job.key] = job
        for name, count in job.needs.items():
            self.free[name] -= count


@dataclass
class Placed:
    """What placing asks of a job."""

    key: str
    needs: dict[str, float] = field(default_factory=dict)
    is_careful: bool = False
    is_suspect: bool = False
    is_noted: bool = False
    is_withdrawing: bool = False


def assigned(waiting: Waiting, workers: list[Worker], ahead: int = 0) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for worker, jobs in waiting.assign(workers, ahead):  # type: ignore[arg-type]
        found.setdefault(worker.address, []).extend(job.key for job in jobs)
    return found


def line(*jobs: Placed) -> Waiting:
    waiting = Waiting()
    for job in jobs:
        waiting.add(job)  # type: ignore[arg-type]
    return waiting


def test_jobs_are_spread() -> None:
    """Each worker gets as many jobs as it has threads, those with the least to do first; the others wait."""
    workers = [Worker("a", Info(1)), Worker("b", Info(2))]
    waiting = line(*(Placed(str(number)) for number in range(5)))
    assert assigned(waiting, workers) == {"a": ["0"], "b": ["1", "2"]}
    assert [job.key for job in waiting.take_all()] == ["3", "4"]


def test_jobs_wait_at_workers() -> None:
    """With a number ahead, more wait there; a worker that has most of them gets no more until some have ended."""
    worker = Worker("a", Info(1))
    waiting = line(*(Placed(str(number)) for number in range(30)))
    assert len(assigned(waiting, [worker], 9)["a"]) == 10
    del worker.jobs["0"], worker.jobs["1"]
    assert assigned(waiting, [worker], 9) == {}
    del worker.jobs["2"]
    assert assigned(waiting, [worker], 9) == {"a": ["10", "11", "12"]}


def test_needs() -> None:
    """A job goes only where what it needs is free, and does not hold up those that need less."""
    workers = [Worker("a", Info(4)), Worker("b", Info(4), {"gpu": 1})]
    waiting = line(*(Placed(f"g{number}", {"gpu": 1}) for number in range(2)), Placed("plain"))
    assert assigned(waiting, workers) == {"b": ["g0"], "a": ["plain"]}
    assert waiting


def test_suspects_run_one_at_a_time() -> None:
    """Of the jobs that have lost several workers only one is at a worker, and none waits there."""
    workers = [Worker("a", Info(2)), Worker("b", Info(2))]
    waiting = line(*(Placed(str(number), is_careful=True, is_suspect=True) for number in range(3)))
    assert assigned(waiting, workers, 9) == {"a": ["0"]}
    assert assigned(waiting, workers, 9) == {}
    workers[0].jobs.clear()
    assert assigned(waiting, workers, 9) == {"a": ["1"]}


def test_jobs_are_withdrawn() -> None:
    """While a worker has nothing to do, the last jobs that wait elsewhere are taken back, and none that runs."""
    busy = Worker("a", Info(1), jobs={name: Placed(name) for name in "wxyz"})
    busy.jobs["w"].is_noted = True
    assert [job.key for job in to_withdraw([busy, Worker("b", Info(2))])] == ["z", "y"]  # type: ignore[list-item]
    assert to_withdraw([busy]) == []  # type: ignore[list-item]


def test_pace() -> None:
    """Many short jobs wait at a worker, and no long ones."""
    pace = Pace()
    pace.add(0.001)
    short = pace.ahead
    for _ in range(200):
        pace.add(30.0)
    assert short > 20
    assert pace.ahead == 0


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        ({"governess": "1", "Python": "3.11"}, []),
        ({"governess": "2", "Python": "3.11"}, ["the worker w has governess 2, and here is 1"]),
        ({"governess": "1", "Python": "3.9"}, ["the worker w has Python 3.9, and here is 3.11"]),
    ],
)
def test_versions(theirs: dict[str, str], told: list[str]) -> None:
    """Each version that differs is told, with both."""
    assert misfits({"governess": "1", "Python": "3.11"}, theirs, "the worker w") == told


def test_lanes() -> None:
    """A report has a row for each slot of this machine, and of each worker as many as it ran jobs at once."""

    def record(host: str, slot: int, started: float, ended: float | None) -> TryRecord:
        return TryRecord(1, 1, 1, slot, State.DONE, started, ended, 0, "", None, None, None, host)

    rows, labels = lanes_of(
        [
            *(record("b", 1, 0, 5), record("b", 2, 1, 2), record("a", 3, 1, 9)),
            *(record("b", 4, 3, None), record("", 2, 4, 5), record("b", 1, 6, 7)),
        ]
    )
    assert labels == ["slot 1", "slot 2", "a", "b", "b"]
    assert rows == [4, 5, 3, 5, 2, 4]
