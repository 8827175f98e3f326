"""Event loop classes: watched, prioritized, limited and threaded ones; and the choice of a loop by its name."""

from governess._lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from governess.loops._choose import LOOPS, LoopChoice, LoopFactory, available_loops, choose_loop
    from governess.loops._limited.loop import LimitedLoop, limited, make_limited
    from governess.loops._priority.loop import PrioritizedLoop, make_prioritized, prioritized
    from governess.loops._priority.ready import priority
    from governess.loops._threaded.loop import ThreadedLoop, threaded
    from governess.loops._watched import SelectorEventLoop, WatchedLoop, make_watched, watched

__all__ = [
    "LOOPS",
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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_choose": ("LOOPS", "LoopChoice", "LoopFactory", "available_loops", "choose_loop"),
        "_limited.loop": ("LimitedLoop", "limited", "make_limited"),
        "_priority.loop": ("PrioritizedLoop", "make_prioritized", "prioritized"),
        "_priority.ready": ("priority",),
        "_threaded.loop": ("ThreadedLoop", "threaded"),
        "_watched": ("SelectorEventLoop", "WatchedLoop", "make_watched", "watched"),
    },
)
