"""Going on with what an earlier run of a journal has left."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable

from governess._programs.start_times import start_time
from governess.jobs._attempt import ClusterEngine, Engine
from governess.jobs._errors import JournalError
from governess.jobs._journal import Journal, JournalRecorder, Resumed
from governess.jobs._journal.schema import explain
from governess.jobs._outputs import remove_outputs
from governess.jobs._plan import Plan
from governess.jobs._runner import Observer, Runner, RunSettings
from governess.jobs._schedule import Entry, Schedule
from governess.jobs._states import Progress, State
from governess.jobs._survivors import (
    WORKER,
    Survivor,
    can_tell_exits,
    end_survivors,
    find_marked,
    find_survivor,
    mark_of,
)

__all__ = ["make_runner"]


async def make_runner(
    plan: Plan,
    settings: RunSettings,
    observer: Observer,
    *,
    engine: Engine | None = None,
    journal: Journal | None = None,
) -> Runner:
    """Return what runs a plan; with a journal, it goes on with what an earlier run has left.

    Jobs of an earlier run that still run are adopted where the kernel will tell how they end, and are ended elsewhere,
    so that no job ever runs twice at the same time.

    Raises:
        PoolError: a job needs more than there is.
        JournalError: the journal cannot be used.
        EngineError: the engine cannot be used.
    """
    if journal is not None:
        plan = await plan.gathered()
    if isinstance(engine, ClusterEngine):
        return await _cluster_runner(plan, settings, observer, engine, journal)
    return await _runner(plan, settings, observer, engine, journal)


async def _cluster_runner(
    plan: Plan, settings: RunSettings, observer: Observer, engine: ClusterEngine, journal: Journal | None
) -> Runner:
    """Return what runs a plan by an engine that is opened, with the pools that it has where nothing else is said."""
    runner: Runner | None = None
    failures: list[Exception] = []

    def fail(error: Exception) -> None:
        failures.append(error)
        if runner is not None:
            runner.abort(error)

    sizes = await engine.open(fail)
    try:
        settings = dataclasses.replace(
            settings, slots=settings.slots or engine.slots, pools=settings.pools.with_defaults(sizes)
        )
        runner = await _runner(plan, settings, observer, engine, journal)
    except BaseException:
        await engine.close()
        raise
    if failures:
        runner.abort(failures[0])
    return runner


async def _runner(
    plan: Plan, settings: RunSettings, observer: Observer, engine: Engine | None, journal: Journal | None
) -> Runner:
    _check_pools(plan, settings)
    uses_pools = settings.options.needs or any(job.options is not None and job.options.needs for job in plan.listed())
    if journal is None:
        return Runner(Schedule(plan), plan.total, settings, observer, engine=engine, uses_pools=uses_pools)
    journal.open()
    try:
        return await _resumed_runner(journal, plan, settings, observer, engine, uses_pools)
    except BaseException:
        journal.close()
        raise


async def _resumed_runner(
    journal: Journal, plan: Plan, settings: RunSettings, observer: Observer, engine: Engine | None, uses_pools: bool
) -> Runner:
    found = journal.register(plan, settings.slots, settings.options)
    adopted = await _take_over(journal, found, settings.options.grace)
    schedule = Schedule(plan, [entry for entry in found.entries if entry not in adopted], found.settled)
    for entry in adopted:
        schedule.adopt(entry)
    runner = Runner(
        schedule,
        plan.total,
        settings,
        observer,
        engine=engine,
        uses_pools=uses_pools,
        adopted=list(adopted.items()),
        settled=found.settled,
    )
    runner.recorder = JournalRecorder(
        journal, plan.has_order, lambda error: runner.abort(explain(journal.folder, error))
    )
    return runner


async def _take_over(journal: Journal, found: Resumed, grace: float) -> dict[Entry, Survivor]:
    """Adopt or end what still runs, and record the rest as interrupted; return the jobs that go on."""
    adopted: dict[Entry, Survivor] = {}
    left: list[Survivor] = []
    marks: list[str] = []
    lost = {job: running.start for job, running in found.running.items()}
    for (job, start), survivor in _survivors(journal, found):
        entry = found.by_row.get(job)
        if entry is not None:
            entry.starts = max(entry.starts, start)
        if survivor is not None and entry is not None and entry not in adopted and _can_adopt(survivor):
            entry.progress = Progress(State.RUNNING, entry.progress.tries + 1)
            entry.not_before = 0.0
            adopted[entry] = survivor
            lost.pop(job, None)
            continue
        marks.append(mark_of(journal.id, job, start))
        if survivor is not None:
            left.append(survivor)
    try:
        if marks:
            await end_survivors(marks, grace, left)
    finally:
        for survivor in left:
            survivor.close()
    for job in lost:
        if (entry := found.by_row.get(job)) is not None:
            remove_outputs(entry.job)
    journal.interrupted(list(lost.items()))
    return adopted


def _can_adopt(survivor: Survivor) -> bool:
    """Return whether its end can be told; a job of a worker is the worker's to end, since its run is gone."""
    return can_tell_exits() and WORKER not in survivor.environment


def _survivors(journal: Journal, found: Resumed) -> Iterable[tuple[tuple[int, int], Survivor | None]]:
    """Yield each try of which processes are left, by job and start, with its first process, if that lives."""
    if not found.is_same_boot or found.has_ended:
        return
    if sys.platform != "linux":
        _check_gone(journal, found)
        return
    marked = find_marked(journal.id)
    starts = {(job, running.start) for job, running in found.running.items()}
    # A start may be missing in the journal, if the run was killed right after it.
    starts |= {key for key in marked if not journal.has_try(*key)}
    for key in sorted(starts):
        job, start = key
        running = found.running.get(job)
        if running is None or running.start != start:
            running = None
        mark = mark_of(journal.id, job, start)
        processes = marked.get(key, [])
        pid, pid_started = (None, None) if running is None else (running.pid, running.pid_started)
        survivor = find_survivor(mark, pid, pid_started, processes, 0.0 if running is None else running.started)
        if survivor is not None or processes:
            yield key, survivor


def _check_gone(journal: Journal, found: Resumed) -> None:
    """Check that no job of an earlier run is there, where no mark tells whose a process is.

    Raises:
        JournalError: one may still run.
    """
    for running in found.running.values():
        if running.pid is None:
            continue
        try:
            began = start_time(running.pid)
        except OSError:
            began = running.started
        if began is not None and abs(began - running.started) <= _START_TIME_ERROR:
            raise JournalError(
                f"a job of the earlier run of {journal.folder} may still run, as process {running.pid}: "
                "end it, and try again"
            )


# Seconds by which the start of a process may differ from the moment in which it was recorded.
_START_TIME_ERROR = 3.0


def _check_pools(plan: Plan, settings: RunSettings) -> None:
    settings.pools.check(settings.options, "each job")
    for number, job in enumerate(plan.listed(), 1):
        if job.options is not None:
            settings.pools.check(job.options, job.name or f"job {number}")
