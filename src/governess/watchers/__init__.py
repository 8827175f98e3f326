"""Child watchers, which notice that a child has exited: six classes with the same guarantees. Not on Windows."""

from governess._lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from governess.watchers._base import ChildWatcher
    from governess.watchers._choice import (
        WATCHERS,
        WatcherChoice,
        available_watchers,
        choose_watcher,
    )
    from governess.watchers._fast import FastChildWatcher
    from governess.watchers._kqueue import KqueueChildWatcher
    from governess.watchers._pidfd import PidfdChildWatcher
    from governess.watchers._sigchld import MultiLoopChildWatcher, SafeChildWatcher
    from governess.watchers._threaded import ThreadedChildWatcher

__all__ = [
    "WATCHERS",
    "ChildWatcher",
    "FastChildWatcher",
    "KqueueChildWatcher",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "SafeChildWatcher",
    "ThreadedChildWatcher",
    "WatcherChoice",
    "available_watchers",
    "choose_watcher",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_base": ("ChildWatcher",),
        "_choice": ("WATCHERS", "WatcherChoice", "available_watchers", "choose_watcher"),
        "_fast": ("FastChildWatcher",),
        "_kqueue": ("KqueueChildWatcher",),
        "_pidfd": ("PidfdChildWatcher",),
        "_sigchld": ("MultiLoopChildWatcher", "SafeChildWatcher"),
        "_threaded": ("ThreadedChildWatcher",),
    },
)
