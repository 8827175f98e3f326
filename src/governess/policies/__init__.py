"""Event loop policies: each decides which loop a thread, a process or a context gets."""

import sys

from governess._lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from governess.policies._default import DefaultEventLoopPolicy
    from governess.policies._limited import LimitedEventLoopPolicy, PriorityEventLoopPolicy
    from governess.policies._scopes import ContextScope, ProcessScope, Scope, ThreadScope
    from governess.policies._shared import ContextEventLoopPolicy, SharedEventLoopPolicy
    from governess.policies._threaded import ThreadedEventLoopPolicy

    if sys.platform == "win32":
        from governess.policies._default import WindowsProactorEventLoopPolicy, WindowsSelectorEventLoopPolicy
    else:
        from governess.policies._default import MacOSEventLoopPolicy

__all__ = [
    "ContextEventLoopPolicy",
    "ContextScope",
    "DefaultEventLoopPolicy",
    "LimitedEventLoopPolicy",
    "PriorityEventLoopPolicy",
    "ProcessScope",
    "Scope",
    "SharedEventLoopPolicy",
    "ThreadScope",
    "ThreadedEventLoopPolicy",
]

if sys.platform == "win32":
    __all__ += ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]
    _SYSTEMS: tuple[str, ...] = ("WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy")
else:
    __all__ += ["MacOSEventLoopPolicy"]
    _SYSTEMS = ("MacOSEventLoopPolicy",)

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_default": ("DefaultEventLoopPolicy", *_SYSTEMS),
        "_limited": ("LimitedEventLoopPolicy", "PriorityEventLoopPolicy"),
        "_scopes": ("ContextScope", "ProcessScope", "Scope", "ThreadScope"),
        "_shared": ("ContextEventLoopPolicy", "SharedEventLoopPolicy"),
        "_threaded": ("ThreadedEventLoopPolicy",),
    },
)
