"""Which loop a context gets."""

import sys

from governess.policies.context import ContextEventLoopPolicy
from governess.policies.default import DefaultEventLoopPolicy
from governess.policies.limited import LimitedEventLoopPolicy
from governess.policies.priority import PriorityEventLoopPolicy
from governess.policies.scopes import ContextScope, ProcessScope, Scope, ThreadScope
from governess.policies.shared import SharedEventLoopPolicy
from governess.policies.threaded import ThreadedEventLoopPolicy

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
    from governess.policies.windows import WindowsProactorEventLoopPolicy, WindowsSelectorEventLoopPolicy

    __all__ += ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]
else:
    from governess.policies.macos import MacOSEventLoopPolicy

    __all__ += ["MacOSEventLoopPolicy"]
