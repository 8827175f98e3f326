"""A line for each command that has ended, as GNU parallel writes it (`--joblog`)."""

import os

from governess.cli.run.outcome import full_text
from governess.cli.run.output import CommandOutput
from governess.jobs import Attempt, Files, JobResult, State

__all__ = ["JobLog"]

_HEAD = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"


class JobLog:
    """Writes the log.

    Args:
        path: the file, which is emptied; after a `+` lines are appended to it.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: str) -> None:
        appends = path.startswith("+")
        self._file = open(path.removeprefix("+"), "ab" if appends else "wb", buffering=0)  # noqa: SIM115 - see close
        if not self._file.tell():
            self._file.write(_HEAD.encode())

    def write(self, result: JobResult, attempt: Attempt | None) -> None:
        """Write the line of a command; nothing for one that did not run."""
        if result.state is State.SKIPPED or result.from_journal:
            return
        was_ended = result.timed_out or result.state is State.MEMORY
        code = -1 if was_ended else max(result.code, 0)
        command = full_text(result.command).replace("\n", "\0")
        fields = (result.number, ":", f"{result.started:.3f}", f"{result.duration:10.3f}", 0, _received(attempt), code)
        line = "\t".join(map(str, (*fields, max(-result.code, 0), command)))
        self._file.write(os.fsencode(f"{line}\n"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _received(attempt: Attempt | None) -> int:
    """Return how many bytes a command has written to standard output."""
    output = None if attempt is None else attempt.output
    if isinstance(output, CommandOutput):
        return output.stdout_size
    if isinstance(output, Files):
        try:
            return output.stdout.stat().st_size
        except OSError:
            pass
    return 0
