"""A pager that reads our output, and has the terminal meanwhile."""

import asyncio
import os
import sys

if sys.platform != "win32":
    import termios

__all__ = ["pager_has_terminal", "until_pager_has_ended"]

_INTERVAL = 0.05


def pager_has_terminal() -> bool:
    """Return whether a program that takes single keys, such as `less`, has the terminal of standard error."""
    if sys.platform == "win32":
        return False
    try:
        return not termios.tcgetattr(2)[3] & termios.ICANON
    except termios.error:  # there is no terminal
        return False


async def until_pager_has_ended() -> None:
    """Let the reader of our output see its end, and wait until the terminal is free."""
    if not pager_has_terminal():
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    while pager_has_terminal():
        await asyncio.sleep(_INTERVAL)
