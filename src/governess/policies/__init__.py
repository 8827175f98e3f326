"""Which loop a context gets."""

import sys

from governess.policies.default import DefaultEventLoopPolicy
from governess.policies.scopes import Scope, ThreadScope

__all__ = ["DefaultEventLoopPolicy", "Scope", "ThreadScope"]

if sys.platform == "win32":
    from governess.policies.windows import WindowsProactorEventLoopPolicy, WindowsSelectorEventLoopPolicy

    __all__ += ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]
else:
    from governess.policies.macos import MacOSEventLoopPolicy

    __all__ += ["MacOSEventLoopPolicy"]
