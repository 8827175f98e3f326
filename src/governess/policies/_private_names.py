"""What asyncio's policies had inside, and programs use all the same: `_local` with `_loop` and `_set_called`.

`policy._local` is a view of the policy's scope. A policy that stores its own object there, or whose class has its own
`_Local`, keeps its loops in that object, as in asyncio.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from typing import Any

from governess.policies._scopes import Scope, ThreadScope

__all__ = ["PrivateNames", "refuses_pidfds"]


class PrivateNames:
    """The mixin of a policy that serves asyncio's private names; the policy has a `_scope`."""

    _scope: Scope

    class _Local(threading.local):
        """What asyncio's `BaseDefaultEventLoopPolicy._Local` is."""

        _loop: asyncio.AbstractEventLoop | None = None
        _set_called = False

    @property
    def _local(self) -> Any:
        view = vars(self).get("_local")
        if view is None:
            view = vars(self).setdefault("_local", _ScopeView(self._scope))
        return view

    @_local.setter
    def _local(self, local: Any) -> None:
        if type(local).__module__ in ("asyncio.events", __name__):  # a new one: asyncio's at-fork handler assigns that
            self._local._loop, self._local._set_called = None, False
        elif isinstance(self._scope, (ThreadScope, _LocalScope)):
            vars(self)["_local"] = local
            self._scope = _LocalScope(local)
        else:
            warnings.warn(f"{self!r} keeps its loops in its scope, not in policy._local", RuntimeWarning, stacklevel=2)

    def _use_own_local(self) -> None:
        """Keep the loops in a `_Local` of the policy's class, if that is another than here."""
        if type(self)._Local is not PrivateNames._Local:
            self._local = self._Local()


def refuses_pidfds() -> bool:
    """Return whether `asyncio.unix_events.can_use_pidfd`, which programs replace to get threads, says no."""
    ask = vars(asyncio.unix_events).get("can_use_pidfd")
    return ask is not None and not ask()


class _ScopeView(threading.local):
    """What `policy._local` is: attributes of its own belong to one thread; `_loop` and `_set_called` to the scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None:
        return self._scope.get()

    @_loop.setter
    def _loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        set_called = self._set_called
        self._scope.set(loop)
        if not set_called:
            self._set_called = False

    @property
    def _set_called(self) -> bool:
        was_set = getattr(self._scope, "was_set", None)
        return not self._scope.may_create() if was_set is None else bool(was_set)

    @_set_called.setter
    def _set_called(self, was_set: bool) -> None:
        if hasattr(self._scope, "was_set"):
            scope: Any = self._scope
            scope.was_set = was_set
        elif was_set != self._set_called:
            warnings.warn(f"{self._scope!r} cannot set policy._local._set_called", RuntimeWarning, stacklevel=2)


class _LocalScope:
    """A scope that keeps the loop of each thread in an object like asyncio's `_Local`."""

    def __init__(self, local: Any) -> None:
        self._local = local

    def get(self) -> asyncio.AbstractEventLoop | None:
        loop: asyncio.AbstractEventLoop | None = getattr(self._local, "_loop", None)
        return loop

    def set(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._local._set_called = True
        self._local._loop = loop

    def may_create(self) -> bool:
        in_main_thread = threading.current_thread() is threading.main_thread()
        return in_main_thread and not getattr(self._local, "_set_called", False)

    def describe(self) -> str:
        return f"thread {threading.current_thread().name!r}"
