"""What came of a pipeline that was run to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic

from governess.children.exit import Exit
from governess.subprocess.completed import Completed, OutputT

__all__ = ["CompletedPipeline"]


@dataclass(frozen=True, slots=True)
class CompletedPipeline(Generic[OutputT]):
    """A pipeline that has ended.

    Attributes:
        commands: what came of each program, in their order; the output is the last one's, the complaints are each
            one's own.
        culprit: the one that failed first, and on whose account the others were ended; None if there is none.
        wall: how many seconds it took.
    """

    commands: tuple[Completed[Any], ...]
    culprit: Completed[Any] | None
    wall: float

    @property
    def exits(self) -> tuple[Exit, ...]:
        """How each of the programs ended."""
        return tuple(completed.exit for completed in self.commands)

    @property
    def exit(self) -> Exit:
        """How the program ended that failed first; else how the last one did."""
        return (self.culprit or self.commands[-1]).exit

    @property
    def stdout(self) -> OutputT:
        """What the last program wrote, bytes or text as `encoding` says; None where it was not captured."""
        return self.commands[-1].stdout  # type: ignore[no-any-return]
