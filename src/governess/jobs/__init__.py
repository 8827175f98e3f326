"""Runs many programs to their ends, a limited number at a time, with an order, retries and a journal."""

from governess._programs.backoff import Backoff
from governess.jobs._attempt import Attempt, ClusterEngine, Engine, Files, Inherited, Output, RunningJob, Sink
from governess.jobs._errors import EngineError, JournalError
from governess.jobs._gates import Delay, FreeMemory, Gate, Load
from governess.jobs._halt import Halt
from governess.jobs._job import Command, Job, JobOptions
from governess.jobs._journal import Journal
from governess.jobs._local import LocalEngine
from governess.jobs._plan import JobSource, Plan, PlanError
from governess.jobs._pools import Grant, PoolError
from governess.jobs._result import JobResult, Summary
from governess.jobs._retry import RetryOn
from governess.jobs._run import JobRun, run_jobs
from governess.jobs._states import State

__all__ = [
    "Attempt",
    "Backoff",
    "ClusterEngine",
    "Command",
    "Delay",
    "Engine",
    "EngineError",
    "Files",
    "FreeMemory",
    "Gate",
    "Grant",
    "Halt",
    "Inherited",
    "Job",
    "JobOptions",
    "JobResult",
    "JobRun",
    "JobSource",
    "Journal",
    "JournalError",
    "Load",
    "LocalEngine",
    "Output",
    "Plan",
    "PlanError",
    "PoolError",
    "RetryOn",
    "RunningJob",
    "Sink",
    "State",
    "Summary",
    "run_jobs",
]
