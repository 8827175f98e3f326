"""A pipeline, run to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from governess.children.command import Program
from governess.subprocess.completed import Completed, ProcessError, ProcessTimeout
from governess.subprocess.completed_pipeline import CompletedPipeline
from governess.subprocess.flow import Flow, FlowStart
from governess.subprocess.process import Process
from governess.subprocess.reader import Reader

__all__ = ["run_pipeline"]


async def run_pipeline(
    starting: FlowStart,
    words: Sequence[Program],
    *,
    input: bytes | bytearray | memoryview | None,
    capture: bool,
    encoding: str | None,
    check: bool,
    timeout: float | None,
    drain: float,
) -> CompletedPipeline[Any]:
    """Do what `Pipeline.run` says, with what starts the pipeline, and its words for an error."""
    execution = _Execution(starting, input)
    timer = asyncio.timeout(timeout)
    try:
        async with timer:
            await execution.run(timer, drain)
    except TimeoutError:
        if not timer.expired():
            raise
        raise ProcessTimeout(tuple(words), timeout or 0, *execution.outcome(capture, encoding)) from None
    completed = execution.completed(capture, encoding)
    if check and completed.exit != 0:
        raise ProcessError(completed.culprit or completed.commands[-1])
    return completed


class _Execution:
    """What is known of a pipeline that is being run."""

    def __init__(self, starting: FlowStart, input: bytes | bytearray | memoryview | None) -> None:
        self._starting = starting
        self._input = input
        self._flow: Flow | None = None
        self._wall = 0.0

    async def run(self, timer: asyncio.Timeout, drain: float) -> None:
        started = time.monotonic()
        async with self._starting as self._flow:
            processes = self._flow.processes
            processes[0].feed(self._input)
            await self._flow.wait()
            timer.reschedule(None)
            self._wall = time.monotonic() - started
            await asyncio.gather(*(process.output_ended(drain) for process in processes))

    def outcome(self, capture: bool, encoding: str | None) -> tuple[Any, Any, Any]:
        """Return the exit, the output and all complaints, as far as they have come."""
        flow = self._flow
        if flow is None:
            return None, None, None
        if not capture:
            return flow.exit, None, None
        complaints = b"".join(process.stderr.collected for process in flow.processes if process.stderr is not None)
        # A character may be cut off.
        stdout = _text(flow.stdout, encoding, "replace")
        return flow.exit, stdout, complaints if encoding is None else complaints.decode(encoding, "replace")

    def completed(self, capture: bool, encoding: str | None) -> CompletedPipeline[Any]:
        """Return all of it, when it is over."""
        flow = self._flow
        assert flow is not None
        commands = {process: self._command(process, capture, encoding) for process in flow.processes}
        culprit = None if flow.culprit is None else commands[flow.culprit]
        return CompletedPipeline(tuple(commands.values()), culprit, self._wall)

    def _command(self, process: Process, capture: bool, encoding: str | None) -> Completed[Any]:
        assert process.exit is not None
        readers = (process.stdout, process.stderr) if capture else (None, None)
        stdout, stderr = (_text(reader, encoding, "strict") for reader in readers)
        return Completed(process.argv, process.exit, stdout, stderr, self._wall)


def _text(reader: Reader | None, encoding: str | None, errors: str) -> Any:
    if reader is None or encoding is None:
        return None if reader is None else reader.collected
    return reader.collected.decode(encoding, errors)
