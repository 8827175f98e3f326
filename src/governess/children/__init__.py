"""One child process: it is started, signalled and reaped. `governess.watchers` notice that it has exited."""

import sys

from governess._lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from governess.children._adopt import adopt
    from governess.children._child import Child
    from governess.children._exit import Exit
    from governess.children._registry import children, observe
    from governess.children._spawn import Spawner

    if sys.platform != "win32":
        from governess.children._group import Group, end_group

__all__ = ["Child", "Exit", "Spawner", "adopt", "children", "observe"]

if sys.platform != "win32":
    __all__ += ["Group", "end_group"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_adopt": ("adopt",),
        "_child": ("Child",),
        "_exit": ("Exit",),
        "_registry": ("children", "observe"),
        "_spawn": ("Spawner",),
        "_group": () if sys.platform == "win32" else ("Group", "end_group"),
    },
)
