"""The command line, and the options that its commands share.

Only this package needs click and rich, the extra `governess[cli]`; `governess python` does not need them.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from governess.abc import AbstractChildWatcher

__all__ = ["LOOP_HELP", "WATCHER_HELP", "loop_factory", "main", "watcher_factory"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        args: the arguments after the program's name; None takes those of the process.

    Returns:
        The exit status: for `governess run` 0, the number of failed commands (101 at most), 255 for a usage error, or
        128 and the number of the signal that interrupted it; for `governess up` that of an essential service; for
        `governess python` 0. Elsewhere 2 for a usage error.

    Raises:
        BaseException: any exception that the program of `governess python` raises.
    """
    words = sys.argv[1:] if args is None else list(args)
    if words[:1] == ["python"] and words[1:] != ["--help"]:
        from governess.cli.python.program import launch

        return launch(words[1:])
    _open_standard_descriptors()
    if find_spec("click") is None or find_spec("rich") is None:
        print("governess: the command line needs click and rich: pip install 'governess[cli]'", file=sys.stderr)
        return 2
    with _ended_by_interrupts():
        from governess.cli.app import invoke

        return invoke(words)


LOOP_HELP = "The event loop: auto, asyncio, uvloop, or MODULE:FACTORY. See `governess info`."
WATCHER_HELP = "How to notice exits: auto, pidfd, threaded, multiloop, safe, fast, kqueue. See `governess info`."


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return the loop factory with this name.

    Raises:
        ValueError: no loop has this name, or it cannot be used; the text says why.
    """
    from governess.loops._choose import choose_loop

    return choose_loop(name).factory


def watcher_factory(name: str) -> "Callable[[], AbstractChildWatcher] | None":
    """Return what makes the watcher with this name; None for `auto`, the default.

    Raises:
        ValueError: no watcher has this name, or it cannot be used here; the text says why.
    """
    if name == "auto":
        return None
    if sys.platform == "win32":
        raise ValueError("there are no watchers on Windows: leave --watcher out")
    else:  # noqa: RET506 - after it mypy would find it unreachable on Windows
        from governess import watchers

        return watchers.choose_watcher(name).factory


@contextlib.contextmanager
def _ended_by_interrupts() -> Iterator[None]:
    """Let Ctrl-C end this process at once, until a command handles it.

    A KeyboardInterrupt while modules are imported may come up in a callback of the import system, where it is lost.
    """
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else our parent made us ignore it
    if not is_default or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _open_standard_descriptors() -> None:
    """Open the null device on closed standard descriptors (`>&-`), so that the loop's descriptors do not use them."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
