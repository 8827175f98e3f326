"""Which job is started next; without I/O."""

from __future__ import annotations

import graphlib
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from governess.jobs._job import Job
from governess.jobs._plan import JobSource, Plan
from governess.jobs._result import JobResult
from governess.jobs._states import Progress

__all__ = ["Entry", "Schedule"]


class Entry:
    """A job of a run, and how far it is.

    Attributes:
        number: its place in the plan, from 1.
        job: what is run.
        progress: its state, and the number of its used tries.
        rank: what is started first: the longest known path that is left, then the smallest number.
        row: the number of its row in the journal; 0 without one.
        duration: seconds that an earlier run of it took; None if that is not known.
        not_before: when it may be started, by the clock of `Schedule.take`; 0 for at once.
        passed_over: how often a later job was started before it, since what it needs was not free.
        last: how its last try has ended, if that is followed by another one.
        starts: how often it was started, in all runs of a journal.
        blocker: the name of the job before it that has not succeeded; "" if there is none.
        losses: how many workers in a row were lost while they ran it.
        is_careful: whether it was on a worker that was lost.
    """

    __slots__ = (
        "blocker",
        "duration",
        "is_careful",
        "job",
        "last",
        "losses",
        "not_before",
        "number",
        "passed_over",
        "progress",
        "rank",
        "row",
        "starts",
    )

    def __init__(self, number: int, job: Job) -> None:
        self.number = number
        self.job = job
        self.progress = Progress()
        self.rank: tuple[float, int] = (0.0, number)
        self.row = 0
        self.duration: float | None = None
        self.not_before = 0.0
        self.passed_over = 0
        self.last: JobResult | None = None
        self.starts = 0
        self.blocker = ""
        self.losses = 0
        self.is_careful = False


# Smaller jobs may pass a job over this number of times; then the others wait until what it needs is free.
_MAX_PASSED_OVER = 100
# This number of jobs is looked at for one whose needs are free.
_LOOKS = 200


class Schedule:
    """The jobs that have not ended yet.

    Args:
        plan: all jobs.
        entries: the entries of the jobs that have not ended, in the order of the plan; None for all of the plan, which
            are made when they are needed if the plan has no order.
        settled: which jobs have ended before, by number, and whether they have succeeded.

    Attributes:
        skipped: jobs that never will run, since they wait for one that has ended before without success.
        source: where more jobs come from; None if there is nothing of that kind, or no more.
    """

    source: JobSource | None = None

    def __init__(
        self, plan: Plan, entries: Iterable[Entry] | None = None, settled: Mapping[int, bool] = MappingProxyType({})
    ) -> None:
        self._stream: Iterator[Entry] | None = None
        self._ready: list[tuple[tuple[float, int], Entry]] = []
        self._delayed: list[tuple[float, int, Entry]] = []
        self._blocked: dict[int, int] = {}
        self._dependents: dict[int, list[int]] = {}
        self._entries: dict[int, Entry] = {}
        self._jobs: Sequence[Job] = ()
        # Jobs that were taken and are not settled: each may still release others, or come back.
        self._taken = 0
        self.skipped: list[Entry] = []
        if entries is None:
            entries = (Entry(number, job) for number, job in enumerate(plan, 1))
        if plan.has_order:
            self._entries = {entry.number: entry for entry in entries}
            self._jobs = plan.listed()
            self._order(plan.dependencies(), settled)
        else:
            self._stream = iter(entries)
            self.source = plan.source
            self._count = 0

    def _order(self, dependencies: dict[int, set[int]], settled: Mapping[int, bool]) -> None:
        for number, earlier in dependencies.items():
            for other in earlier:
                self._dependents.setdefault(other, []).append(number)
        lengths: dict[int, float] = {}
        for number in reversed(list(graphlib.TopologicalSorter(dependencies).static_order())):
            later = max((lengths[other] for other in self._dependents.get(number, ())), default=0.0)
            if (entry := self._entries.get(number)) is None:
                lengths[number] = later
                continue
            lengths[number] = later + (1.0 if entry.duration is None else entry.duration)
            entry.rank = (-lengths[number], number)
            self._blocked[number] = len(dependencies[number])
        for number in [number for number, blocked in self._blocked.items() if not blocked]:
            self._release(number)
        for number, succeeded in settled.items():
            self.skipped += self._pass_on(number, succeeded)

    @property
    def is_over(self) -> bool:
        """Whether no job is left that could be taken now or later."""
        return not (self._taken or self._ready or self._delayed or self._has_more())

    def take(self, now: float, may_take: Callable[[Entry], bool] | None = None) -> Entry | None:
        """Return the next job that can be started now; None if there is none.

        Args:
            now: the time, by the clock of `retry`.
            may_take: tells whether what a job needs is free, and takes it if so; None if no job needs anything.
        """
        while self._delayed and self._delayed[0][0] <= now:
            entry = heapq.heappop(self._delayed)[2]
            entry.not_before = 0.0
            self._push(entry)
        found = self._next() if may_take is None else self._next_that_fits(may_take)
        if found is not None:
            self._taken += 1
        return found

    def next_time(self) -> float | None:
        """Return when the next delayed job can be taken; None if there is none."""
        return self._delayed[0][0] if self._delayed else None

    def delayed(self) -> list[Entry]:
        """Return the jobs that wait for their time, in the order of their numbers."""
        return sorted((entry for _, _, entry in self._delayed), key=lambda entry: entry.number)

    def retry(self, entry: Entry, when: float) -> None:
        """Take back a job that was taken, to be taken again from `when` on."""
        self._taken -= 1
        entry.not_before = when
        self._push(entry)

    def adopt(self, entry: Entry) -> None:
        """Count a job as taken that was not among the entries: an earlier run has started it."""
        self._taken += 1

    def give_back(self, entry: Entry) -> None:
        """Take back a job that was taken, and that is not to be taken again."""
        self._taken -= 1

    def settle(self, entry: Entry, succeeded: bool) -> list[Entry]:
        """Note that a job that was taken has ended for good.

        Returns:
            The jobs that never will run, since they wait for it and it has not succeeded.
        """
        self._taken -= 1
        return self._pass_on(entry.number, succeeded)

    def _pass_on(self, number: int, succeeded: bool) -> list[Entry]:
        skipped: list[Entry] = []
        waiting = deque([(number, succeeded)])
        while waiting:
            number, well = waiting.popleft()
            for other in self._dependents.get(number, ()):
                if other not in self._blocked:
                    continue
                if not well:
                    del self._blocked[other]
                    self._entries[other].blocker = self._jobs[number - 1].name
                    skipped.append(self._entries[other])
                    waiting.append((other, False))
                    continue
                self._blocked[other] -= 1
                if not self._blocked[other]:
                    self._release(other)
        return skipped

    def _release(self, number: int) -> None:
        del self._blocked[number]
        self._push(self._entries[number])

    def _push(self, entry: Entry) -> None:
        if entry.not_before:
            heapq.heappush(self._delayed, (entry.not_before, entry.number, entry))
        else:
            heapq.heappush(self._ready, (entry.rank, entry))

    def _has_more(self) -> bool:
        """Return whether one more job comes from outside; if it is there, it is kept."""
        if (entry := self._pull()) is not None:
            self._push(entry)
            return True
        return self.source is not None

    def _pull(self) -> Entry | None:
        """Return the next job from outside; None if there is none, or none yet."""
        if self._stream is not None:
            if (entry := next(self._stream, None)) is not None:
                return entry
            self._stream = None
        if self.source is not None and self.source.is_ready:
            if (job := self.source.take()) is not None:
                self._count += 1
                return Entry(self._count, job)
            self.source = None
        return None

    def _next(self) -> Entry | None:
        if self._ready:
            return heapq.heappop(self._ready)[1]
        while (entry := self._pull()) is not None:
            if not entry.not_before:
                return entry
            self._push(entry)
        return None

    def _next_that_fits(self, may_take: Callable[[Entry], bool]) -> Entry | None:
        while (entry := self._pull()) is not None:  # all of them compete for what there is
            self._push(entry)
        passed: list[tuple[tuple[float, int], Entry]] = []
        found = None
        while self._ready and len(passed) < _LOOKS:
            item = heapq.heappop(self._ready)
            if may_take(item[1]):
                found = item[1]
                break
            passed.append(item)
            if item[1].passed_over >= _MAX_PASSED_OVER:
                break
        for item in passed:
            if found is not None:
                item[1].passed_over += 1
            heapq.heappush(self._ready, item)
        return found
