"""A program's uncaught exception, shown without the frames of what runs the program."""

import sys
from collections.abc import Callable
from types import TracebackType

__all__ = ["without_own_frames"]


def without_own_frames(program: Callable[[], object]) -> None:
    """Run a program; an exception goes on to the interpreter, which shows it as if the program had been alone."""
    try:
        program()
    except SystemExit:
        raise
    except BaseException as error:
        _show_only(_programs_part(error.__traceback__))
        raise


def _programs_part(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith("governess.cli."):
        traceback = traceback.tb_next
    return traceback


def _show_only(traceback: TracebackType | None) -> None:
    """Let sys.excepthook, the program's own too, be called with this traceback, and be itself again."""
    hook = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        sys.excepthook = hook
        sys.last_traceback = traceback
        hook(kind, error.with_traceback(traceback), traceback)

    sys.excepthook = show
