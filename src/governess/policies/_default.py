"""The default policy, which every other policy extends: it combines a loop factory, a scope and a watcher."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from governess._current_policy import set_default_factory
from governess.abc import AbstractChildWatcher, AbstractEventLoopPolicy
from governess.children._after_fork import run_after_fork
from governess.children._per_loop import running_loop
from governess.loops._change import WATCHED, LoopChange, make_loop
from governess.loops._choose import LoopFactory, factory_of
from governess.policies._closing import close_loops, refuse_inside
from governess.policies._private_names import PrivateNames, refuses_pidfds
from governess.policies._scopes import Scope, ThreadScope
from governess.watchers._base import ChildWatcher
from governess.watchers._choice import choose_watcher

if sys.platform != "win32":
    from governess.watchers._kqueue import KqueueChildWatcher
    from governess.watchers._threaded import ThreadedChildWatcher

if TYPE_CHECKING:
    from typing import Self

__all__ = ["DefaultEventLoopPolicy"]

if sys.platform == "win32":
    __all__ += ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]
else:
    __all__ += ["MacOSEventLoopPolicy"]


class DefaultEventLoopPolicy(PrivateNames, AbstractEventLoopPolicy):
    """Gives each thread its own loop, and its loops the best child watcher that works here.

    Loop factory, scope and watcher can be replaced by arguments; a subclass can override any method.
    """

    # A subclass may set this instead of passing a factory, as with asyncio's policies.
    if sys.platform == "win32":
        _loop_factory: type[asyncio.AbstractEventLoop] = asyncio.ProactorEventLoop
    else:
        _loop_factory: type[asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        scope: Scope | None = None,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine loop factory, scope and watcher; None means the default of each.

        Args:
            loop_factory: a loop class, any callable that returns a loop, or a name: ``auto``, ``asyncio``, ``uvloop``,
                or ``module:factory``. The default is asyncio's SelectorEventLoop, on Windows its ProactorEventLoop.
            scope: decides which code shares a current loop; by default the code of one thread (`ThreadScope`).
            watcher: a child watcher, or a callable that makes one when it is first needed; by default the choice of
                `choose_watcher`.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: no loop has this name, or it cannot be imported.
        """
        self._scope = ThreadScope() if scope is None else scope
        self._use_own_local()
        self._watcher: AbstractChildWatcher | None = None
        self._make_watcher = _watcher_factory(watcher)
        self._own_watchers: list[AbstractChildWatcher] = []
        # Not a WeakSet: its methods are in Python, and one of them runs at the end of each loop.
        self._loops: dict[weakref.ref[asyncio.AbstractEventLoop], None] = {}
        self._lock = threading.RLock()
        self._closing = threading.RLock()
        _policies.add(self)
        run_after_fork(_start_anew)
        self.set_factory(loop_factory)
        if isinstance(watcher, AbstractChildWatcher):
            self._watcher = watcher

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop of this thread, or else the current loop of this scope; never None.

        In the main thread, if no loop was ever set, the policy makes and sets a new loop, with a DeprecationWarning.

        Raises:
            RuntimeError: there is no current loop.
        """
        if (running := running_loop()) is not None:
            return running
        if self._scope.get() is None and self._scope.may_create():
            warnings.warn("There is no current event loop", DeprecationWarning, stacklevel=_callers_level())
            self.set_event_loop(self.new_event_loop())
        loop = self._scope.get()
        if loop is None:
            raise RuntimeError(f"There is no current event loop in {self._scope.describe()}.")
        return loop

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Make `loop` the current loop of this scope. In the main thread, the watcher is attached to it too.

        Raises:
            TypeError: `loop` is neither a loop nor None.
        """
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"loop must be an instance of AbstractEventLoop or None, not '{type(loop).__name__}'")
        self._scope.set(loop)
        watcher = self._watcher
        if watcher is None or getattr(watcher.attach_loop, "__func__", None) is _ATTACHES_NOTHING:
            return
        if threading.current_thread() is threading.main_thread():
            watcher.attach_loop(loop)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop, which uses the watcher of this policy.

        Raises:
            TypeError: the loop factory does not return an event loop.
        """
        return self._new_loop(self._changes)

    @property
    def loop_factory(self) -> LoopFactory:
        """A factory of this policy's loops, to be passed to `asyncio.Runner`, anyio, uvicorn or pytest-asyncio."""
        return self.new_event_loop

    def set_factory(self, factory: LoopFactory | str | None) -> None:
        """Use `factory` for new loops, in the forms that the constructor accepts; None restores the default.

        Raises:
            TypeError: `factory` is neither a callable nor a name.
            ValueError: no loop has this name, or it cannot be imported.
        """
        self._factory = factory_of(factory)

    def get_child_watcher(self) -> AbstractChildWatcher:
        """Return the watcher of this policy's loops; the first call makes it if none was given.

        Raises:
            NotImplementedError: on Windows, where children need no watcher.
        """
        if sys.platform == "win32":
            raise NotImplementedError("children need no watcher on Windows")
        if (watcher := self._watcher) is not None:
            return watcher
        with self._lock:
            if self._watcher is None:
                self._init_watcher()
            if self._watcher is None:  # an overriding method leaves the choice to others
                DefaultEventLoopPolicy._init_watcher(self)
            assert self._watcher is not None
            return self._watcher

    def _init_watcher(self) -> None:
        """Make the watcher when it is first needed; a subclass may override this, as with asyncio's policies."""
        self._watcher = self._new_watcher()
        loop = self._scope.get()
        if loop is not None and threading.current_thread() is threading.main_thread():
            self._watcher.attach_loop(loop)

    def set_child_watcher(self, watcher: AbstractChildWatcher | None) -> None:
        """Use `watcher` for the children that this policy's loops start from now on; None restores the default.

        The previous watcher is closed, as in asyncio. Its children are still reaped.

        Raises:
            TypeError: `watcher` is neither a child watcher nor None.
            NotImplementedError: on Windows, where children need no watcher.
        """
        if sys.platform == "win32":
            raise NotImplementedError("children need no watcher on Windows")
        if watcher is not None and not isinstance(watcher, AbstractChildWatcher):
            raise TypeError(
                f"watcher must be an instance of AbstractChildWatcher or None, not '{type(watcher).__name__}'"
            )
        with self._lock:
            before, self._watcher = self._watcher, watcher
        if before is not None and before is not watcher:
            before.close()

    def close(self) -> None:
        """Close all open loops that this policy has made, and the watcher that it has made.

        A loop that runs in another thread is stopped first; it has a few seconds to stop.

        Raises:
            RuntimeError: this method is called inside one of these loops, or one of them does not stop.
        """
        with self._lock:
            loops = self._made_loops()
        refuse_inside(loops)
        with self._closing:
            close_loops(loops)
        with self._lock:
            watchers, self._own_watchers = self._own_watchers, []
            if self._watcher in watchers:
                self._watcher = None
        for watcher in watchers:
            watcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _changes(self) -> Sequence[LoopChange]:
        """What this policy makes of the loops of its factory, the innermost change first."""
        return (WATCHED,)

    def _new_loop(self, changes: Sequence[LoopChange]) -> asyncio.AbstractEventLoop:
        loop: Any = make_loop(self._factory or self._loop_factory, changes)
        if hasattr(loop, "governess_policy"):
            loop.governess_policy = self
        self._loops[weakref.ref(loop, self._loops.pop)] = None
        return loop  # type: ignore[no-any-return]

    def _made_loops(self) -> list[asyncio.AbstractEventLoop]:
        return [loop for reference in list(self._loops) if (loop := reference()) is not None]

    def _new_watcher(self) -> AbstractChildWatcher:
        factory = self._make_watcher
        watcher = factory()
        if not isinstance(watcher, AbstractChildWatcher):
            raise TypeError(f"the watcher factory {factory!r} has made {watcher!r}, which is no child watcher")
        self._own_watchers.append(watcher)
        return watcher


# asyncio's names of policies that belong to one system.
if sys.platform == "win32":

    class WindowsSelectorEventLoopPolicy(DefaultEventLoopPolicy):
        """Makes selector loops, which have `add_reader`; governess starts their children, threads serve the pipes."""

        _loop_factory = asyncio.SelectorEventLoop

    class WindowsProactorEventLoopPolicy(DefaultEventLoopPolicy):
        """Makes proactor loops, which start child processes themselves and have no `add_reader`."""

        _loop_factory = asyncio.ProactorEventLoop

else:

    class MacOSEventLoopPolicy(DefaultEventLoopPolicy):
        """The default policy with a kqueue watcher.

        It was tested with a simulated kqueue, and never run on macOS.
        """

        def __init__(
            self,
            loop_factory: LoopFactory | str | None = None,
            *,
            scope: Scope | None = None,
            watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = KqueueChildWatcher,
        ) -> None:
            """Combine loop factory, scope and watcher, as `DefaultEventLoopPolicy` does."""
            super().__init__(loop_factory, scope=scope, watcher=watcher)


# Of most watchers.
_ATTACHES_NOTHING = ChildWatcher.attach_loop

_policies: weakref.WeakSet[DefaultEventLoopPolicy] = weakref.WeakSet()
_parents_loops: list[asyncio.AbstractEventLoop] = []


def _start_anew() -> None:
    """In a forked child, replace locks that threads of the parent may hold, and keep the parent's loops alive."""
    for policy in list(_policies):
        policy._lock, policy._closing = threading.RLock(), threading.RLock()
        for loop in policy._made_loops():
            with contextlib.suppress(AttributeError):  # the loop has slots alone
                loop.is_parents = True  # type: ignore[attr-defined]
            _parents_loops.append(loop)
        policy._loops = {}


def _watcher_factory(
    watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None,
) -> Callable[[], AbstractChildWatcher]:
    if watcher is None or isinstance(watcher, AbstractChildWatcher):
        return _default_watcher
    if not callable(watcher):
        raise TypeError(f"watcher must be a child watcher, or a callable that makes one, not {watcher!r}")
    return watcher


def _default_watcher() -> AbstractChildWatcher:
    if sys.platform == "win32":
        raise NotImplementedError("children need no watcher on Windows")
    choice = choose_watcher()
    return ThreadedChildWatcher() if choice.name == "pidfd" and refuses_pidfds() else choice.factory()


def _callers_level() -> int:
    """Return the stacklevel, for the caller, of the nearest line outside of governess and asyncio."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OWN_PACKAGES:
        level, frame = level + 1, frame.f_back
    return level


_OWN_PACKAGES = ("governess", "asyncio")

set_default_factory(DefaultEventLoopPolicy)
