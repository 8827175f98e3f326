"""`governess python` from its words to the exit status, without click: a program starts quickly, and sees no click."""

import sys
from collections.abc import Callable, Sequence
from types import TracebackType

from governess.cli.options import loop_factory, watcher_factory
from governess.cli.python.argv import Call, WrongCall

__all__ = ["launch", "without_own_frames"]


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


def launch(words: Sequence[str]) -> int:
    """Run a program under the bridge.

    Returns:
        The exit status of a program that comes to its end: 0; 2 for a wrong call.

    Raises:
        BaseException: whatever the program raises, SystemExit too; the interpreter deals with it as always.
    """
    from governess.cli.python.program import NoProgram, prepare

    try:
        call = Call.of(words)
        if call is None:
            return _help()
        program = prepare(call)
        _install(call)
    except (WrongCall, NoProgram) as error:
        return _refuse(error)
    without_own_frames(program)
    return 0


def _install(call: Call) -> None:
    from governess import DefaultEventLoopPolicy, install

    try:
        factory, watcher = loop_factory(call.loop), watcher_factory(call.watcher)
    except ValueError as error:
        raise WrongCall(str(error)) from None
    install(DefaultEventLoopPolicy(loop_factory=factory, watcher=watcher))


def _help() -> int:
    from governess.cli import main

    return main(["python", "--help"])


def _refuse(error: Exception) -> int:
    from governess.cli.run.outcome import printable

    text = f"governess python: {printable(str(error))}" if isinstance(error, WrongCall) else str(error)
    print(text, file=sys.stderr)
    return 2
