"""Event loop classes: watched, prioritized, limited and threaded ones; and the choice of a loop by its name."""

from governess.loops._choose import LoopChoice, LoopFactory, available_loops, choose_loop
from governess.loops._limited.loop import LimitedLoop, limited, make_limited
from governess.loops._priority.loop import PrioritizedLoop, make_prioritized, prioritized
from governess.loops._priority.ready import priority
from governess.loops._threaded.loop import ThreadedLoop, threaded
from governess.loops._watched import SelectorEventLoop, WatchedLoop, make_watched, watched

__all__ = [
    "LimitedLoop",
    "LoopChoice",
    "LoopFactory",
    "PrioritizedLoop",
    "SelectorEventLoop",
    "ThreadedLoop",
    "WatchedLoop",
    "available_loops",
    "choose_loop",
    "limited",
    "make_limited",
    "make_prioritized",
    "make_watched",
    "prioritized",
    "priority",
    "threaded",
    "watched",
]
