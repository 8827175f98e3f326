"""The current policy, and asyncio's functions that use it."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable

from governess.abc import AbstractChildWatcher, AbstractEventLoopPolicy
from governess.children._after_fork import run_after_fork

__all__ = [
    "get_child_watcher",
    "get_event_loop",
    "get_event_loop_policy",
    "new_event_loop",
    "set_child_watcher",
    "set_event_loop",
    "set_event_loop_policy",
]


def get_event_loop_policy() -> AbstractEventLoopPolicy:
    """Return the current event loop policy of the process; a new `DefaultEventLoopPolicy` if none was set."""
    if (policy := _store.get()) is not None:
        return policy
    run_after_fork(_renew_lock)
    with _lock:
        policy = _store.get()
        if policy is None:
            policy = _make_default()
            _store.set(policy)
        return policy


def set_event_loop_policy(policy: AbstractEventLoopPolicy | None) -> None:
    """Make `policy` the current event loop policy of the process; None restores the default.

    Raises:
        TypeError: `policy` is neither a policy nor None.
    """
    check_policy(policy)
    with _lock:
        _store.set(policy)


def check_policy(policy: object) -> None:
    """Raise the TypeError of `set_event_loop_policy`, if `policy` is neither a policy nor None."""
    if policy is not None and not isinstance(policy, AbstractEventLoopPolicy):
        raise TypeError(f"policy must be an instance of AbstractEventLoopPolicy or None, not '{type(policy).__name__}'")


def get_event_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop of this thread, else the loop that the current policy has for this context.

    Raises:
        RuntimeError: the context has no loop, and the policy does not make one.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return get_event_loop_policy().get_event_loop()


def set_event_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Make `loop` the current loop of this context, by the current policy; None removes the loop."""
    get_event_loop_policy().set_event_loop(loop)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop, which the current policy makes."""
    return get_event_loop_policy().new_event_loop()


def get_child_watcher() -> AbstractChildWatcher:
    """Return the child watcher of the current policy.

    Raises:
        NotImplementedError: on Windows, where children need no watcher.
    """
    return get_event_loop_policy().get_child_watcher()


def set_child_watcher(watcher: AbstractChildWatcher | None) -> None:
    """Use `watcher` for the children of the current policy's loops; None restores the default.

    Raises:
        TypeError: `watcher` is neither a child watcher nor None.
        NotImplementedError: on Windows, where children need no watcher.
    """
    get_event_loop_policy().set_child_watcher(watcher)


def watcher_of(loop: asyncio.AbstractEventLoop) -> AbstractChildWatcher:
    """Return the watcher of the policy that made the loop, else of the current one.

    It is the default watcher if the policy knows nothing of watchers.
    """
    global _default_watcher
    policy: AbstractEventLoopPolicy | None = getattr(loop, "governess_policy", None)
    if policy is None:
        policy = get_event_loop_policy()
    if (get := getattr(policy, "get_child_watcher", None)) is not None:
        try:  # not suppress(): this is done at each run of a loop
            return get()  # type: ignore[no-any-return]
        except NotImplementedError:
            pass
    if _default_watcher is None:
        from governess.watchers._choice import choose_watcher

        _default_watcher = choose_watcher().factory()
    return _default_watcher


_default_watcher: AbstractChildWatcher | None = None


class PolicyStore:
    """Where the current policy is kept; a subclass keeps it where others find it, too."""

    _policy: AbstractEventLoopPolicy | None = None

    def get(self) -> AbstractEventLoopPolicy | None:
        """Return the current policy, if one was set."""
        return self._policy

    def set(self, policy: AbstractEventLoopPolicy | None) -> None:
        """Make another policy, or none, the current one."""
        self._policy = policy


_store = PolicyStore()
_lock = threading.RLock()


def swap_store(place: PolicyStore) -> PolicyStore:
    """Keep the current policy in `place` from now on; return the store that was used before, unchanged."""
    global _store
    with _lock:
        before, _store = _store, place
    return before


def _renew_lock() -> None:
    """A thread that a forked child does not have may have held the lock."""
    global _lock
    _lock = threading.RLock()


def _make_first_default() -> AbstractEventLoopPolicy:
    # By its name, since it is in a layer above; it sets its own factory when it is imported.
    importlib.import_module("governess.policies._default")
    return _make_default()


_make_default: Callable[[], AbstractEventLoopPolicy] = _make_first_default


def set_default_factory(factory: Callable[[], AbstractEventLoopPolicy]) -> None:
    """Use `factory` for the policy that is current where none was set; a layer above calls this."""
    global _make_default
    _make_default = factory
