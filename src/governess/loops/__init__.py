"""Loops that ask their policy for a watcher, and the transport that connects a child with its protocol."""

import sys

from governess.loops.choose import LoopChoice, available, choose_loop

__all__ = ["LoopChoice", "SelectorEventLoop", "available", "choose_loop"]

if sys.platform == "win32":
    from asyncio import SelectorEventLoop
else:
    from governess.loops.watched import SelectorEventLoop, WatchedLoop, watch, watched

    __all__ += ["WatchedLoop", "watch", "watched"]
