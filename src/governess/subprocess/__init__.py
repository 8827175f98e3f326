"""Programs from any running loop: asyncio's functions with their meaning, and `run`, `start`, pipelines and pools."""

from asyncio.subprocess import DEVNULL, PIPE, STDOUT

from governess._lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from governess.children._spawn.command import Program, Stdio
    from governess.subprocess._limits import Limits, Usage, UsageWatch
    from governess.subprocess._lines import BinaryFile, Line, LineIterator, LineListener
    from governess.subprocess._options import ChildOptions, CommandRunOptions, ExecOptions, RunOptions, StartOptions
    from governess.subprocess._orphans import reap_orphans
    from governess.subprocess._pipeline import Cmd, Pipeline, cmd, pipeline
    from governess.subprocess._pipeline_run import PipelineProcess, PipelineStart
    from governess.subprocess._pool import ProcessPool
    from governess.subprocess._pool_map import PoolMap, PoolResult
    from governess.subprocess._process import Process
    from governess.subprocess._pty import WindowSize
    from governess.subprocess._reader import Reader
    from governess.subprocess._results import (
        Completed,
        CompletedPipeline,
        ProcessError,
        ProcessTimeout,
        TerminalRequired,
    )
    from governess.subprocess._run import run
    from governess.subprocess._start import Start, start
    from governess.subprocess._streams import create_subprocess_exec, create_subprocess_shell
    from governess.subprocess._watch import watch

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "BinaryFile",
    "ChildOptions",
    "Cmd",
    "CommandRunOptions",
    "Completed",
    "CompletedPipeline",
    "ExecOptions",
    "Limits",
    "Line",
    "LineIterator",
    "LineListener",
    "Pipeline",
    "PipelineProcess",
    "PipelineStart",
    "PoolMap",
    "PoolResult",
    "Process",
    "ProcessError",
    "ProcessPool",
    "ProcessTimeout",
    "Program",
    "Reader",
    "RunOptions",
    "Start",
    "StartOptions",
    "Stdio",
    "TerminalRequired",
    "Usage",
    "UsageWatch",
    "WindowSize",
    "cmd",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "pipeline",
    "reap_orphans",
    "run",
    "start",
    "watch",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_limits": ("Limits", "Usage", "UsageWatch"),
        "_lines": ("BinaryFile", "Line", "LineIterator", "LineListener"),
        "_options": ("ChildOptions", "CommandRunOptions", "ExecOptions", "RunOptions", "StartOptions"),
        "_orphans": ("reap_orphans",),
        "_pipeline": ("Cmd", "Pipeline", "cmd", "pipeline"),
        "_pipeline_run": ("PipelineProcess", "PipelineStart"),
        "_pool": ("ProcessPool",),
        "_pool_map": ("PoolMap", "PoolResult"),
        "_process": ("Process",),
        "_pty": ("WindowSize",),
        "_reader": ("Reader",),
        "_results": ("Completed", "CompletedPipeline", "ProcessError", "ProcessTimeout", "TerminalRequired"),
        "_run": ("run",),
        "_start": ("Program", "Start", "Stdio", "start"),
        "_streams": ("create_subprocess_exec", "create_subprocess_shell"),
        "_watch": ("watch",),
    },
)
