"""`install` replaces asyncio's names of policies and watchers by those of governess; `uninstall` restores them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from governess import _current_policy, _nested_runs, _workers
from governess.abc import AbstractChildWatcher, AbstractEventLoopPolicy
from governess.children._per_loop import running_loop
from governess.loops._watched import WatchedLoop, attach_watcher, close_loop
from governess.policies._default import DefaultEventLoopPolicy
from governess.transports._private_names import make_subprocess_transport

if sys.platform == "win32":
    from governess.policies import WindowsProactorEventLoopPolicy, WindowsSelectorEventLoopPolicy
else:
    from governess import watchers
    from governess.watchers._sigchld import SigchldChildWatcher

__all__ = ["install", "installed", "uninstall"]


def install(policy: AbstractEventLoopPolicy | None = None) -> None:
    """Replace asyncio's functions and classes of policies and child watchers by those of governess.

    The names that this version of Python has removed exist again. They do not warn. The loops of asyncio and uvloop
    keep their classes; governess starts their children. The workers of multiprocessing that this process starts have
    the names too, with every start method. A second call changes only the policy.

    Args:
        policy: the new current policy; None keeps the current policy of governess.

    Raises:
        RuntimeError: a loop is running in this thread.
        TypeError: `policy` is neither a policy nor None.
    """
    global _changes
    _refuse_in_a_running_loop("install")
    with _lock:
        chosen = _current_policy.get_event_loop_policy() if policy is None else policy
        _current_policy.check_policy(chosen)
        if _changes is None:
            _changes = _make_changes()
        _current_policy.set_event_loop_policy(chosen)


def uninstall() -> None:
    """Undo `install`: restore every attribute that existed before, and delete the others.

    Raises:
        RuntimeError: a loop is running in this thread.
    """
    global _changes
    _refuse_in_a_running_loop("uninstall")
    with _lock:
        changes, _changes = _changes, None
        if changes is not None:
            changes.undo()


@contextlib.contextmanager
def installed(policy: AbstractEventLoopPolicy | None = None) -> Iterator[None]:
    """Call `install` at the beginning of the block, and `uninstall` at its end.

    If the names are already installed, the block changes only the policy, and restores it at the end.

    Args:
        policy: as in `install`.

    Raises:
        RuntimeError: a loop is running in this thread.
        TypeError: `policy` is neither a policy nor None.
    """
    before = _current_policy.get_event_loop_policy() if _changes is not None else None
    install(policy)
    try:
        yield
    finally:
        if before is None:
            uninstall()
        else:
            _current_policy.set_event_loop_policy(before)


class _Changes:
    """Attributes that were set, and how each was before."""

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a module or a class; what was inherited, or made by ``__getattr__``, is deleted again."""
        if name in vars(owner):
            self._undo.callback(setattr, owner, name, vars(owner)[name])
        else:
            self._undo.callback(delattr, owner, name)
        setattr(owner, name, value)

    def then(self, callback: Callable[[], object]) -> None:
        """Call this too when the changes are undone."""
        self._undo.callback(callback)

    def undo(self) -> None:
        """Undo everything, the last change first."""
        self._undo.close()


_changes: _Changes | None = None
_lock = threading.RLock()


def _make_changes() -> _Changes:
    changes = _Changes()
    try:
        _move_the_policy(changes)
        _move_the_current_loop(changes)
        for module, names in _names().items():
            _set_names(changes, importlib.import_module(module), names)
        for loop_class in _loop_classes():
            _patch_loop_class(changes, loop_class)
        _workers.follow(changes.set, changes.then)
        _nested_runs.follow(changes.set, changes.then)
    except BaseException:
        changes.undo()
        raise
    return changes


def _move_the_policy(changes: _Changes) -> None:
    """Keep the current policy where asyncio's own functions look for it, the C ones too, if there is such a place."""
    events = asyncio.events
    place = _current_policy.PolicyStore()
    if "_event_loop_policy" in vars(events):
        changes.set(events, "_event_loop_policy", None)
        place = _AsynciosPlace()
    before = _current_policy.swap_store(place)
    changes.then(lambda: _current_policy.swap_store(before))
    if "_init_event_loop_policy" in vars(events):
        changes.set(events, "_init_event_loop_policy", _current_policy.get_event_loop_policy)


def _move_the_current_loop(changes: _Changes) -> None:
    """Let the policy answer for the thread-local in which asyncio of 3.16, its C part too, keeps the current loop.

    The attribute of its class is set, not `events._local` itself: whoever got hold of that object asks the policy too.
    """
    local = vars(asyncio.events).get("_local")
    if isinstance(local, threading.local) and "_loop" in vars(type(local)):
        changes.set(type(local), "_loop", property(_current_loop, _set_current_loop))


def _current_loop(_local: object) -> asyncio.AbstractEventLoop:
    return _current_policy.get_event_loop_policy().get_event_loop()


def _set_current_loop(_local: object, loop: asyncio.AbstractEventLoop | None) -> None:
    _current_policy.set_event_loop(loop)


class _AsynciosPlace(_current_policy.PolicyStore):
    def get(self) -> AbstractEventLoopPolicy | None:
        policy: AbstractEventLoopPolicy | None = vars(asyncio.events)["_event_loop_policy"]
        return policy

    def set(self, policy: AbstractEventLoopPolicy | None) -> None:
        asyncio.events._event_loop_policy = policy  # type: ignore[attr-defined]


def _names() -> dict[str, dict[str, Any]]:
    """Every name of a policy or a watcher that asyncio had from 3.8 to 3.13, module by module."""
    functions = {name: getattr(_current_policy, name) for name in _current_policy.__all__}
    policies: dict[str, Any] = {"DefaultEventLoopPolicy": DefaultEventLoopPolicy}
    events: dict[str, Any] = {
        **functions,
        "AbstractEventLoopPolicy": AbstractEventLoopPolicy,
        "BaseDefaultEventLoopPolicy": DefaultEventLoopPolicy,
    }
    if sys.platform == "win32":
        policies["WindowsSelectorEventLoopPolicy"] = WindowsSelectorEventLoopPolicy
        policies["WindowsProactorEventLoopPolicy"] = WindowsProactorEventLoopPolicy
        platform = {"asyncio.windows_events": policies}
    else:
        policies |= {"AbstractChildWatcher": AbstractChildWatcher}
        policies |= {name: getattr(watchers, name) for name in _WATCHERS}
        more = {"BaseChildWatcher": SigchldChildWatcher, "_UnixDefaultEventLoopPolicy": DefaultEventLoopPolicy}
        platform = {"asyncio.unix_events": policies | more}
    public = {name: value for name, value in events.items() if not name.startswith("Base")} | policies
    return {"asyncio.events": events | _private(), **platform, "asyncio": public}


_WATCHERS = (
    "FastChildWatcher",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "SafeChildWatcher",
    "ThreadedChildWatcher",
)


def _private() -> dict[str, Any]:
    """The quiet names that 3.14 and 3.15 use themselves, where they do."""
    ours = {
        "_AbstractEventLoopPolicy": AbstractEventLoopPolicy,
        "_get_event_loop_policy": _current_policy.get_event_loop_policy,
        "_set_event_loop_policy": _current_policy.set_event_loop_policy,
    }
    return {name: value for name, value in ours.items() if name in vars(asyncio.events)}


def _set_names(changes: _Changes, module: Any, names: dict[str, Any]) -> None:
    for name, value in names.items():
        changes.set(module, name, value)
    listed = [name for name in names if not name.startswith(("_", "Base")) and name not in module.__all__]
    changes.set(module, "__all__", (*module.__all__, *listed))


def _refuse_in_a_running_loop(what: str) -> None:
    if (loop := running_loop()) is not None:
        raise RuntimeError(f"governess.{what}() cannot be called in a thread whose event loop runs, and {loop!r} does")


def _loop_classes() -> list[type[Any]]:
    classes: list[type[Any]] = [asyncio.SelectorEventLoop]
    with contextlib.suppress(ImportError):
        classes.append(importlib.import_module("uvloop").Loop)
    return classes


def _patch_loop_class(changes: _Changes, loop_class: type[Any]) -> None:
    """Give a loop class what a `WatchedLoop` has, so that loops which exist already have it too."""
    run_forever, close = loop_class.run_forever, loop_class.close

    def run_forever_watched(self: Any) -> None:
        attach_watcher(self)
        run_forever(self)

    def close_watched(self: Any) -> None:
        close_loop(self, lambda: close(self))

    for name in ("governess_policy", "is_parents", "_on_close", "_has_run", "_is_closing", "call_on_close", *_STARTERS):
        changes.set(loop_class, name, vars(WatchedLoop)[name])
    if issubclass(loop_class, asyncio.BaseEventLoop):
        changes.set(loop_class, "_make_subprocess_transport", make_subprocess_transport)
        changes.set(loop_class, "__del__", _unless_parents(loop_class.__del__))
    changes.set(loop_class, "run_forever", run_forever_watched)
    changes.set(loop_class, "close", close_watched)


def _unless_parents(finalize: Callable[[Any], None]) -> Callable[[Any], None]:
    """Do as `WatchedLoop.__del__`; a closure, since modules may be gone by then."""
    return lambda self: None if self.is_parents else finalize(self)


_STARTERS = ("subprocess_exec", "subprocess_shell")
