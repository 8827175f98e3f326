"""How the exit of a child is noticed: six ways, one contract. Not on Windows, as in asyncio."""

from governess.watchers.choice import NAMES, WatcherChoice, choose, named, usable
from governess.watchers.fast import FastChildWatcher
from governess.watchers.kqueue import KqueueChildWatcher
from governess.watchers.multiloop import MultiLoopChildWatcher
from governess.watchers.pidfd import PidfdChildWatcher
from governess.watchers.safe import SafeChildWatcher
from governess.watchers.threaded import ThreadedChildWatcher

__all__ = [
    "NAMES",
    "FastChildWatcher",
    "KqueueChildWatcher",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "SafeChildWatcher",
    "ThreadedChildWatcher",
    "WatcherChoice",
    "choose",
    "named",
    "usable",
]
