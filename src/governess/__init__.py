"""asyncio's event loop policies and child watchers as a library of their own."""

import sys

from governess._registry import (
    get_child_watcher,
    get_event_loop,
    get_event_loop_policy,
    new_event_loop,
    set_child_watcher,
    set_event_loop,
    set_event_loop_policy,
)
from governess.abc import AbstractChildWatcher, AbstractEventLoopPolicy
from governess.bridge import install, installed, uninstall
from governess.children import Exit, observe
from governess.loops import SelectorEventLoop
from governess.policies import DefaultEventLoopPolicy
from governess.runner import Runner, run

__version__ = "0.1.0"

__all__ = [
    "AbstractChildWatcher",
    "AbstractEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "Exit",
    "Runner",
    "SelectorEventLoop",
    "get_child_watcher",
    "get_event_loop",
    "get_event_loop_policy",
    "install",
    "installed",
    "new_event_loop",
    "observe",
    "run",
    "set_child_watcher",
    "set_event_loop",
    "set_event_loop_policy",
    "uninstall",
]

if sys.platform == "win32":
    from governess.policies import WindowsProactorEventLoopPolicy, WindowsSelectorEventLoopPolicy

    __all__ += ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]
else:
    from governess.children import Child
    from governess.loops import watched
    from governess.policies import MacOSEventLoopPolicy
    from governess.watchers import (
        FastChildWatcher,
        KqueueChildWatcher,
        MultiLoopChildWatcher,
        PidfdChildWatcher,
        SafeChildWatcher,
        ThreadedChildWatcher,
    )

    __all__ += [
        "Child",
        "FastChildWatcher",
        "KqueueChildWatcher",
        "MacOSEventLoopPolicy",
        "MultiLoopChildWatcher",
        "PidfdChildWatcher",
        "SafeChildWatcher",
        "ThreadedChildWatcher",
        "watched",
    ]
