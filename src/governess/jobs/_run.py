"""Running jobs from a program: results as they come, and a summary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from types import TracebackType
from typing import Any

from governess.children._cpus import usable_cpus
from governess.jobs._attempt import Attempt, ClusterEngine, Engine, Inherited, Output
from governess.jobs._gates import Gate, total_memory
from governess.jobs._halt import Halt
from governess.jobs._job import Job, JobOptions
from governess.jobs._journal import Journal
from governess.jobs._plan import Plan
from governess.jobs._pools import Pools
from governess.jobs._result import JobResult, Summary
from governess.jobs._resume import make_runner
from governess.jobs._runner import Observer, Runner, RunSettings

__all__ = ["JobRun", "make_pools", "run_jobs"]


def run_jobs(
    plan: Plan | Iterable[Job],
    *,
    slots: int | None = None,
    options: JobOptions | None = None,
    halt: Halt | None = None,
    pools: Mapping[str, float] | None = None,
    gates: Iterable[Gate] = (),
    engine: Engine | None = None,
    output: Callable[[Attempt], Output] | None = None,
    journal: Journal | None = None,
) -> JobRun:
    """Run jobs, several at once.

    ``await run_jobs(…)`` runs all jobs and returns the `Summary`. Or use the run in ``async with``: inside the block,
    ``async for`` gives each `JobResult` as soon as the job has ended. The end of the block ends the running jobs.

    Args:
        plan: the jobs.
        slots: the number of jobs that run at once; None for the number of processors, or for the slots of the engine.
        options: the options of jobs that have none of their own.
        halt: the rule that ends the run early; None to run all jobs.
        pools: the sizes of the pools that the jobs share: ``cpus``, ``memory`` in bytes, and any other name for a
            number of tokens. The defaults of ``cpus`` and ``memory`` are those of this machine.
        gates: the conditions that can delay the start of a job.
        engine: the engine that runs the jobs; None for this machine.
        output: a function that returns where the output of a try goes; None for the outputs of this process.
        journal: the journal that records the run, so that a later run can resume it. The jobs then write into files of
            its folder. None for no record.

    Returns:
        The run, to be awaited or used as above.

    Raises:
        PlanError: the plan is invalid.
        PoolError: a job needs more than the size of a pool.
        ValueError: `slots` is below 1.
    """
    if slots is not None and slots < 1:
        raise ValueError(f"at least one job runs at once, not {slots}")
    plan = plan if isinstance(plan, Plan) else Plan(plan)
    settings = RunSettings(
        slots or (0 if isinstance(engine, ClusterEngine) else usable_cpus()),
        options or JobOptions(),
        halt or Halt(),
        make_pools(pools or {}),
        tuple(gates),
    )
    return JobRun(plan, settings, engine, output, journal)


def make_pools(sizes: Mapping[str, float]) -> Pools:
    """Return pools of these sizes; the processors and the memory of this machine where nothing else is said."""
    tokens = {name: int(size) for name, size in sizes.items() if name not in ("cpus", "memory")}
    memory = sizes.get("memory")
    return Pools(
        sizes.get("cpus", usable_cpus()), total_memory() if memory is None else int(memory), tokens, dict(sizes)
    )


class JobRun:
    """A run of jobs, which `run_jobs` returns.

    Attributes:
        summary: the counts and times so far.
    """

    def __init__(
        self,
        plan: Plan,
        settings: RunSettings,
        engine: Engine | None,
        output: Callable[[Attempt], Output] | None,
        journal: Journal | None,
    ) -> None:
        self._journal = journal
        self._plan = plan
        self._settings = settings
        self._engine = engine
        self._results: asyncio.Queue[JobResult | None] = asyncio.Queue()
        self._observer = _Queued(self._results, output)
        self._runner: Runner | None = None
        self._task: asyncio.Task[Summary] | None = None
        self.summary = Summary(plan.total)

    def stop(self) -> None:
        """Start no more jobs."""
        if self._runner is not None:
            self._runner.stop()

    def end(self) -> None:
        """Start no more jobs, and end the running ones: TERM, then KILL after the grace.

        A second call kills the running jobs at once.
        """
        if self._runner is not None:
            self._runner.end()

    async def wait(self) -> Summary:
        """Wait until all jobs have ended, and return the summary."""
        assert self._task is not None
        return await asyncio.shield(self._task)

    def __await__(self) -> Generator[Any, None, Summary]:
        return self._run_all().__await__()

    async def _run_all(self) -> Summary:
        async with self:
            return await self.wait()

    async def __aenter__(self) -> JobRun:
        if self._task is not None:
            raise RuntimeError("a run_jobs() can be used only once")
        runner = await make_runner(
            self._plan, self._settings, self._observer, engine=self._engine, journal=self._journal
        )
        self._runner, self.summary = runner, runner.summary
        self._task = asyncio.get_running_loop().create_task(runner.run())
        self._task.add_done_callback(lambda task: self._results.put_nowait(None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = self._task
        assert task is not None
        if not task.done():
            self.end()
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError:
                self.end()  # which kills
                if not task.done():
                    await asyncio.wait((task,))
                raise
        if kind is None:
            task.result()
        elif not task.cancelled():
            task.exception()

    async def __aiter__(self) -> AsyncIterator[JobResult]:
        while (result := await self._results.get()) is not None:
            yield result
        self._results.put_nowait(None)  # for another iteration, which is over at once
        assert self._task is not None
        await self._task


class _Queued(Observer):
    """Puts the results into a queue."""

    def __init__(self, results: asyncio.Queue[JobResult | None], output: Callable[[Attempt], Output] | None) -> None:
        self._results = results
        self._output = output

    def output(self, attempt: Attempt) -> Output:
        return Inherited() if self._output is None else self._output(attempt)

    def finished(self, result: JobResult, attempt: Attempt | None) -> None:
        self._results.put_nowait(result)
