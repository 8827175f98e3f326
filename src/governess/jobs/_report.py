"""What a journal tells of a run, worked out for a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governess.jobs._journal.reader import JobRecord, JournalReader, RunRecord, TryRecord
from governess.jobs._lanes import lanes_of
from governess.jobs._states import State

__all__ = ["Report", "most_at_once", "read_report", "trace_events"]


@dataclass(frozen=True, slots=True)
class Report:
    """What a journal tells.

    Attributes:
        folder: the journal.
        runs: its runs.
        counts: how many jobs are in each state.
        jobs: all jobs of the last plan.
        tries: all starts of these jobs, in the order of their beginning.
        critical_path: the jobs that took the longest one after the other; the longest job if none waits for another.
        at_once: how many ran at the same time, at most.
    """

    folder: str
    runs: list[RunRecord]
    counts: dict[State, int]
    jobs: list[JobRecord]
    tries: list[TryRecord]
    critical_path: list[JobRecord]
    at_once: int

    @property
    def busy(self) -> float:
        """Seconds that all tries took together."""
        return sum((each.ended or each.started) - each.started for each in self.tries)

    @property
    def cpu(self) -> float | None:
        """Seconds of processor time of all tries; None if none is known."""
        known = [each.cpu for each in self.tries if each.cpu is not None]
        return sum(known) if known else None

    @property
    def duration(self) -> float:
        """Seconds that the runs took together; a run that did not come to its end lasted to its last change."""
        return sum(max(self._end(run) - run.started, 0.0) for run in self.runs)

    def _end(self, run: RunRecord) -> float:
        if run.ended is not None:
            return run.ended
        times = [each.ended or each.started for each in self.tries if each.run == run.number]
        return max(times, default=run.started)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        by_job: dict[int, list[TryRecord]] = {}
        for each in self.tries:
            by_job.setdefault(each.job, []).append(each)
        return {
            "journal": self.folder,
            "counts": {str(state): count for state, count in self.counts.items()},
            "duration": self.duration,
            "busy": self.busy,
            "cpu": self.cpu,
            "at_once": self.at_once,
            "critical_path": [job.number for job in self.critical_path],
            "runs": [as_dict(run) for run in self.runs],
            "jobs": [{**as_dict(job), "history": [as_dict(each) for each in by_job.get(job.number, ())]}
                     for job in self.jobs],
        }  # fmt: skip


def as_dict(record: Any) -> dict[str, Any]:
    """Return a record as what JSON can hold; bytes that are no text are spelt out."""
    return {name: _plain(getattr(record, name)) for name in record.__dataclass_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str(value).encode("utf-8", "backslashreplace").decode()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def read_report(reader: JournalReader) -> Report:
    """Work out the report of a journal.

    Raises:
        JournalError: it cannot be read.
    """
    jobs = list(reader.jobs())
    numbers = {job.number for job in jobs}
    tries = [each for each in reader.tries() if each.job in numbers]
    took = {each.job: (each.ended or each.started) - each.started for each in tries}
    return Report(
        str(reader.folder), reader.runs(), reader.counts(), jobs, tries, _critical_path(jobs, took), most_at_once(tries)
    )


def _critical_path(jobs: Sequence[JobRecord], took: Mapping[int, float]) -> list[JobRecord]:
    by_name = {job.name: job for job in jobs if job.name}
    lengths: dict[int, float] = {}
    before: dict[int, JobRecord | None] = {}

    def visit(last: JobRecord) -> None:
        stack = [last]
        while stack:
            job = stack[-1]
            earlier = [by_name[name] for name in job.after if name in by_name]
            waiting = [each for each in earlier if each.number not in lengths]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            longest = max(earlier, key=lambda each: lengths[each.number], default=None)
            before[job.number] = longest
            lengths[job.number] = took.get(job.number, 0.0) + (lengths[longest.number] if longest else 0.0)

    for job in jobs:
        if job.number not in lengths:
            visit(job)
    ran = [job for job in jobs if job.number in took]
    if not ran:
        return []
    path: list[JobRecord] = []
    step: JobRecord | None = max(ran, key=lambda job: lengths[job.number])
    while step is not None:
        path.append(step)
        step = before[step.number]
    return path[::-1]


def most_at_once(tries: Iterable[TryRecord]) -> int:
    """Return how many ran at the same time, at most."""
    changes = []
    for each in tries:
        if each.ended is not None:
            changes += [(each.started, 1), (each.ended, -1)]
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def trace_events(report: Report) -> dict[str, Any]:
    """Return the tries as events of Chromium's trace format, which Perfetto shows: a line for each slot or host."""
    rows, labels = lanes_of(report.tries)
    names = {job.number: job.name or _short(job.command) for job in report.jobs}
    events: list[dict[str, Any]] = []
    for each, row in zip(report.tries, rows, strict=True):
        end = each.started if each.ended is None else each.ended
        events.append(
            {
                "name": _plain(names[each.job]),
                "cat": str(each.state),
                "ph": "X",
                "ts": round(each.started * 1e6),
                "dur": round((end - each.started) * 1e6),
                "pid": each.run,
                "tid": row,
                "args": {"job": each.job, "start": each.start, "state": str(each.state), "code": each.code}
                | ({"host": each.host} if each.host else {}),
            }
        )
    for run in report.runs:
        events.append({"name": "process_name", "ph": "M", "pid": run.number, "args": {"name": f"run {run.number}"}})
    for number, row in sorted({(each.run, row) for each, row in zip(report.tries, rows, strict=True)}):
        name = {"name": labels[row - 1]}
        events.append({"name": "thread_name", "ph": "M", "pid": number, "tid": row, "args": name})
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _short(command: Any) -> str:
    text = command if isinstance(command, str) else " ".join(command)
    return text if len(text) <= 60 else f"{text[:59]}…"
