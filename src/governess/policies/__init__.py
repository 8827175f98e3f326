"""Event loop policies: each decides which loop a thread, a process or a context gets."""

import sys

from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._limited import LimitedEventLoopPolicy, PriorityEventLoopPolicy
from governess.policies._scopes import ContextScope, ProcessScope, Scope, ThreadScope
from governess.policies._shared import ContextEventLoopPolicy, SharedEventLoopPolicy
from governess.policies._threaded import ThreadedEventLoopPolicy

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
    from governess.policies._default import WindowsProactorEventLoopPolicy, WindowsSelectorEventLoopPolicy

    __all__ += ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]
else:
    from governess.policies._default import MacOSEventLoopPolicy

    __all__ += ["MacOSEventLoopPolicy"]
