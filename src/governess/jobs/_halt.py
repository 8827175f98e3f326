"""When a run ends before all jobs are done, and with which exit status; without I/O."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Halt"]

_FORM = re.compile(r"(now|soon),(fail|success|done)=(\d+)(%?)")
_SHORT = {
    "never": "never",
    "soon": "soon,fail=1",
    "now": "now,fail=1",
    # what GNU parallel's users wrote before there were words
    "0": "never",
    "1": "soon,fail=1",
    "2": "now,fail=1",
    "-1": "soon,success=1",
    "-2": "now,success=1",
}


@dataclass(frozen=True, slots=True)
class Halt:
    """The rule that ends a run early, after a number of failed or succeeded jobs.

    Attributes:
        when: `soon` starts no more jobs; `now` also ends the running jobs; `never` runs all jobs.
        why: the jobs that are counted: `fail` for failed ones, `success` for succeeded ones, `done` for both.
        limit: the number of counted jobs that ends the run; with `is_percentage`, the percentage of all jobs.
        is_percentage: whether the limit is a percentage.
    """

    when: Literal["never", "soon", "now"] = "never"
    why: Literal["fail", "success", "done"] = "fail"
    limit: int = 1
    is_percentage: bool = False

    @classmethod
    def parse(cls, text: str) -> Halt:
        """Parse the notation of GNU parallel: `never`, `now,fail=1`, `soon,fail=30%`, `now,success=1`.

        Raises:
            ValueError: `text` has another form; the text of the error lists the valid forms.
        """
        text = _SHORT.get(text, text)
        if text == "never":
            return cls()
        if re.fullmatch(r"[1-9]\d?%", text):
            text = f"soon,fail={text}"
        match = _FORM.fullmatch(text)
        if match is None or not int(match[3]):
            raise ValueError(
                f"{text!r} is none of never, soon, now, or WHEN,WHY=N with WHEN soon or now, WHY fail, success or "
                "done, and N a number above 0 or a percentage: now,fail=1"
            )
        when, why, number, percent = match.groups()
        if percent and int(number) > 100:
            raise ValueError(f"{text!r} asks for more than 100 %")
        return cls(when, why, int(number), bool(percent))  # type: ignore[arg-type]

    def is_reached(self, succeeded: int, failed: int, total: int | None) -> bool:
        """Return whether the run must end.

        Args:
            succeeded: the number of jobs that have succeeded.
            failed: the number of jobs that have failed.
            total: the number of all jobs; None if unknown.
        """
        if self.when == "never":
            return False
        count = {"fail": failed, "success": succeeded, "done": succeeded + failed}[self.why]
        limit = self._number(total)
        return limit is not None and count > 0 and count >= limit

    def exit_status(self, failed: int, started: int, total: int | None, ending_status: int | None) -> int:
        """Return the exit status that GNU parallel gives: the number of failed jobs, 101 for more than 100.

        If a limit of one job was reached, the status is that of the job. If the limit is a percentage, the status is
        the percentage of failed jobs. If a limit of successes was reached, the status is 0.

        Args:
            failed: the number of jobs that have failed.
            started: the number of jobs that were started.
            total: the number of all jobs; None if unknown.
            ending_status: the exit status of the job that ended the run; None if the limit was not reached.
        """
        if ending_status is not None and self.why == "success":
            return 0
        if ending_status is not None and self._number(total) == 1:
            return ending_status
        if self.is_percentage:
            return math.ceil(failed * 100 / ((total if ending_status is not None else started) or 1))
        return min(failed, MOST_FAILED)

    def _number(self, total: int | None) -> float | None:
        if not self.is_percentage:
            return self.limit
        return None if total is None else total * self.limit / 100


MOST_FAILED = 101
