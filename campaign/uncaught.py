"""What nobody has caught in a batch: errors that are logged, that cannot be raised, or that end a thread."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import traceback
import warnings

from campaign.case import Verdict, explained, is_of_closed_loop

__all__ = ["Uncaught"]


class Uncaught:
    """Listens for such errors, and tells which of them are a problem.

    Args:
        hazard: what the children of the round are exposed to.
    """

    def __init__(self, hazard: str) -> None:
        self._hazard = hazard
        self._found: list[tuple[str, BaseException | None]] = []

    def listen(self) -> None:
        """Note from here on what is logged as an error, cannot be raised, or ends a thread."""
        note = self._found.append

        class Listener(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                error = record.exc_info[1] if record.exc_info else None
                note((f"logged by {record.name}: {record.getMessage()}", error))

        logging.getLogger().addHandler(Listener(logging.ERROR))
        sys.unraisablehook = lambda what: note((f"not raised, in {what.object!r}", what.exc_value))
        threading.excepthook = lambda what: note((f"the end of {what.thread!r}", what.exc_value))
        # A loop that is closed or interrupted while it is used leaves much open; uvloop cannot do with an error there.
        is_cut_off = self._hazard in ("closed loops", "raising signals")
        warnings.simplefilter("ignore" if is_cut_off else "error", ResourceWarning)

    def forget(self) -> None:
        """Drop what was noted."""
        self._found.clear()

    def check(self, verdict: Verdict, errors: frozenset[int]) -> None:
        """Add what was noted to the verdict, and drop it: a problem, unless an injected error number explains it."""
        gc.collect()
        for text, error in self._found:
            if self._is_applications_own(text, error, verdict):
                continue
            if error is not None and (reason := explained(error, errors)) is not None:
                verdict.surfaced[f"told: {reason}"] += 1
                continue
            trace = "" if error is None else "".join(traceback.format_exception(error))
            verdict.problems.append(f"{text}\n{trace}")
        self.forget()

    def _is_applications_own(self, text: str, error: BaseException | None, verdict: Verdict) -> bool:
        """Return whether that is what a loop or an interpreter says of a program that has left something open."""
        if self._hazard == "raising signals":
            return True
        if isinstance(error, ResourceWarning):
            return verdict.done["drop"] > 0
        if self._hazard != "closed loops":
            return False
        return "Task was destroyed" in text or is_of_closed_loop(error)
