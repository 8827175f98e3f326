"""`governess python` from its words to the exit status, without click: a program starts quickly, and sees no click."""

import sys
from collections.abc import Sequence

from governess.cli.call import Call, WrongCall
from governess.cli.frames import without_own_frames
from governess.cli.options import loop_factory, watcher_factory

__all__ = ["launch"]


def launch(words: Sequence[str]) -> int:
    """Run a program under the bridge.

    Returns:
        The exit status of a program that comes to its end: 0; 2 for a wrong call.

    Raises:
        BaseException: whatever the program raises, SystemExit too; the interpreter deals with it as always.
    """
    from governess.cli.program import NoProgram, prepare

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
    name = "governess python: " if isinstance(error, WrongCall) else ""
    print(f"{name}{error}", file=sys.stderr)
    return 2
