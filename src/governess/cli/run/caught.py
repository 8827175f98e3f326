"""The signals that end or stop `governess run`, while it runs."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

__all__ = ["caught_signals"]


@contextlib.contextmanager
def caught_signals(
    loop: asyncio.AbstractEventLoop, interrupt: Callable[[int], None], stop: Callable[[], None] | None
) -> Iterator[None]:
    """Catch the signals that end us, but for those that our parent made us ignore, and that of Ctrl-Z.

    Args:
        loop: the running loop, in which the functions are called.
        interrupt: called with the number of a signal that ends us.
        stop: called when Ctrl-Z asks us to stop; None to be stopped.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            _catch(loop, number, interrupt)
    if stop is not None and sys.platform != "win32" and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
        before[signal.SIGTSTP] = signal.SIG_DFL
        loop.add_signal_handler(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _catch(loop: asyncio.AbstractEventLoop, number: int, interrupt: Callable[[int], None]) -> None:
    """Have the loop catch it, which a signal wakes up even in the instant before it goes to sleep."""
    try:
        loop.add_signal_handler(number, interrupt, number)
    except NotImplementedError:  # Windows, where the loop wakes up for all of them
        signal.signal(number, lambda number, frame: loop.call_soon_threadsafe(interrupt, number))
