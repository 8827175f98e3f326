"""asyncio's event loop policies and child watchers as a library of their own.

A name is imported when it is used for the first time: a program does not pay for the loops, policies and watchers that
it does not use, and the import of the package costs next to nothing.
"""

import sys

from governess._lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from governess._bridge import install, installed, uninstall
    from governess._current_policy import (
        get_child_watcher,
        get_event_loop,
        get_event_loop_policy,
        new_event_loop,
        set_child_watcher,
        set_event_loop,
        set_event_loop_policy,
    )
    from governess._runner import Runner, run
    from governess.abc import AbstractChildWatcher, AbstractEventLoopPolicy
    from governess.children import Child, Exit, observe
    from governess.loops import SelectorEventLoop, limited, prioritized, priority, threaded, watched
    from governess.policies import (
        ContextEventLoopPolicy,
        DefaultEventLoopPolicy,
        LimitedEventLoopPolicy,
        PriorityEventLoopPolicy,
        SharedEventLoopPolicy,
        ThreadedEventLoopPolicy,
    )

    if sys.platform == "win32":
        from governess.policies import WindowsProactorEventLoopPolicy, WindowsSelectorEventLoopPolicy
    else:
        from governess.policies import MacOSEventLoopPolicy
        from governess.watchers import (
            FastChildWatcher,
            KqueueChildWatcher,
            MultiLoopChildWatcher,
            PidfdChildWatcher,
            SafeChildWatcher,
            ThreadedChildWatcher,
        )

__version__ = "1.0.0rc1"

__all__ = [
    "AbstractChildWatcher",
    "AbstractEventLoopPolicy",
    "Child",
    "ContextEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "Exit",
    "LimitedEventLoopPolicy",
    "PriorityEventLoopPolicy",
    "Runner",
    "SelectorEventLoop",
    "SharedEventLoopPolicy",
    "ThreadedEventLoopPolicy",
    "get_child_watcher",
    "get_event_loop",
    "get_event_loop_policy",
    "install",
    "installed",
    "limited",
    "new_event_loop",
    "observe",
    "prioritized",
    "priority",
    "run",
    "set_child_watcher",
    "set_event_loop",
    "set_event_loop_policy",
    "threaded",
    "uninstall",
    "watched",
]

if sys.platform == "win32":
    __all__ += ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]
else:
    __all__ += [
        "FastChildWatcher",
        "KqueueChildWatcher",
        "MacOSEventLoopPolicy",
        "MultiLoopChildWatcher",
        "PidfdChildWatcher",
        "SafeChildWatcher",
        "ThreadedChildWatcher",
    ]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_bridge": ("install", "installed", "uninstall"),
        "_current_policy": (
            "get_child_watcher",
            "get_event_loop",
            "get_event_loop_policy",
            "new_event_loop",
            "set_child_watcher",
            "set_event_loop",
            "set_event_loop_policy",
        ),
        "_runner": ("Runner", "run"),
        "abc": ("AbstractChildWatcher", "AbstractEventLoopPolicy"),
        "children": ("Child", "Exit", "observe"),
        "files": (),
        "jobs": (),
        "loops": ("SelectorEventLoop", "limited", "prioritized", "priority", "threaded", "watched"),
        "policies": tuple(name for name in __all__ if name.endswith("EventLoopPolicy") and name[0] != "A"),
        "services": (),
        "subprocess": (),
        "watchers": tuple(name for name in __all__ if name.endswith("ChildWatcher") and "Abstract" not in name),
    },
)
