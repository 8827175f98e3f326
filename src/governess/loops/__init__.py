"""Loops that ask their policy for a watcher, and the transport that connects a child with its protocol."""

from governess.loops.choose import LoopChoice, available, choose_loop
from governess.loops.limited import LimitedLoop, limit, limited
from governess.loops.prioritized import PrioritizedLoop, prioritize, prioritized
from governess.loops.priority import priority
from governess.loops.threaded import ThreadedLoop, threaded
from governess.loops.watched import SelectorEventLoop, WatchedLoop, watch, watched

__all__ = [
    "LimitedLoop",
    "LoopChoice",
    "PrioritizedLoop",
    "SelectorEventLoop",
    "ThreadedLoop",
    "WatchedLoop",
    "available",
    "choose_loop",
    "limit",
    "limited",
    "prioritize",
    "prioritized",
    "priority",
    "threaded",
    "watch",
    "watched",
]
