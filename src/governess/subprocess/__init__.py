"""Children as people need them, over any running loop: asyncio's names with their meaning, and more above them."""

import sys

if sys.platform == "win32":
    raise ImportError("governess.subprocess needs process groups and signals, which Windows does not have")

from asyncio.subprocess import DEVNULL, PIPE, STDOUT

from governess.subprocess.completed import Completed, ProcessError, ProcessTimeout
from governess.subprocess.completed_pipeline import CompletedPipeline
from governess.subprocess.create import create_subprocess_exec, create_subprocess_shell
from governess.subprocess.flow import Flow
from governess.subprocess.limits import Limits
from governess.subprocess.lines import Line
from governess.subprocess.orphans import reap_orphans
from governess.subprocess.pipeline import Cmd, Pipeline, cmd, pipeline
from governess.subprocess.pool import PoolExit, ProcessPool
from governess.subprocess.process import Process
from governess.subprocess.pty import WindowSize
from governess.subprocess.reader import Reader
from governess.subprocess.run import run
from governess.subprocess.start import start
from governess.subprocess.usage import Usage
from governess.subprocess.watch import watch

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Cmd",
    "Completed",
    "CompletedPipeline",
    "Flow",
    "Limits",
    "Line",
    "Pipeline",
    "PoolExit",
    "Process",
    "ProcessError",
    "ProcessPool",
    "ProcessTimeout",
    "Reader",
    "Usage",
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
