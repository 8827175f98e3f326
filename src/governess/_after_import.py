"""Changing a module of others as soon as the program has imported it, and not before: `after_import`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__ = ["Change", "Undo", "after_import"]

#: Sets an attribute of a module or an object, until the bridge is uninstalled.
Change = Callable[[Any, str, Any], object]
#: Has a function called when the bridge is uninstalled.
Undo = Callable[[Callable[[], object]], object]


def after_import(names: Sequence[str], patch: Callable[[ModuleType], None], undo: Undo) -> None:
    """Call `patch` with each of these modules: now, or when the program imports it.

    Args:
        names: the modules, with their packages.
        patch: changes a module.
        undo: is given what makes this forget the imports that have not come yet.
    """
    for name in names:
        if name in sys.modules:
            patch(sys.modules[name])
    if waiting := {name for name in names if name not in sys.modules}:
        finder = _PatchAfterImport(waiting, patch)
        sys.meta_path.insert(0, finder)
        undo(finder.remove)


class _PatchAfterImport:
    """Calls a function with each of these modules when that is imported."""

    # Not a MetaPathFinder: `importlib.abc` imports `tempfile`, `random` and more.

    def __init__(self, names: set[str], patch: Callable[[ModuleType], None]) -> None:
        self._names = names
        self._patch = patch

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self._names:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        loader: Any = None if spec is None else spec.loader
        if loader is None:
            return spec
        self._names.discard(name)
        if not self._names:
            self.remove()
        execute = loader.exec_module

        def execute_and_patch(module: ModuleType) -> None:
            execute(module)
            self._patch(module)

        loader.exec_module = execute_and_patch
        return spec

    def remove(self) -> None:
        """Look at no import any more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
