"""One child: born, signalled, reaped. How an exit is noticed is the business of `governess.watchers`."""

import sys

from governess.children._child import Child, adopt, children
from governess.children._exit import Exit
from governess.children._registry import observe
from governess.children._spawn import Spawner

__all__ = ["Child", "Exit", "Spawner", "adopt", "children", "observe"]

if sys.platform != "win32":
    from governess.children._group import Group, end_group

    __all__ += ["Group", "end_group"]
