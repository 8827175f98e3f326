"""Makes asyncio of 3.14 and 3.15 look like that of 3.16, which has no event loop policies: `simulate`.

No 3.16 is released yet. What it changes is taken from "What's new in Python 3.16" and CPython's gh-127949: every name
of the policies is gone, and `asyncio.events` keeps the current loop in a thread-local of its own.
"""

import _asyncio
import asyncio
import threading
from asyncio import events
from types import FunctionType, ModuleType

#: What CPython's C functions hold on to after the names are gone: they ask this function for a policy.
_asked_by_c: FunctionType = events._get_event_loop_policy


def simulate() -> None:
    """Take the policies out of asyncio, in this process, for good."""
    for module in (asyncio, events, asyncio.unix_events):
        _remove_policies(module)
    events._Local = _Local
    events._local = _Local()
    for function in (get_event_loop, set_event_loop, new_event_loop):
        for module in (asyncio, events):
            setattr(module, function.__name__, function)
    events._py_get_event_loop = events._c_get_event_loop = _asyncio.get_event_loop = get_event_loop
    _asked_by_c.__code__ = _current_loop_for_c.__code__
    events.on_fork.__code__ = _on_fork.__code__


def _remove_policies(module: ModuleType) -> None:
    for name in list(vars(module)):
        if "olicy" in name:
            delattr(module, name)
    vars(module).pop("__getattr__", None)  # where the deprecated names come from
    module.__all__ = type(module.__all__)(name for name in module.__all__ if "olicy" not in name)


class _Local(threading.local):
    _loop: asyncio.AbstractEventLoop | None = None


def get_event_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop, else the one that was set in this thread."""
    running = events._get_running_loop()
    if running is not None:
        return running
    current = events._local._loop
    if current is None:
        raise RuntimeError(f"There is no current event loop in thread {threading.current_thread().name!r}.")
    return current


def set_event_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Make the loop the current one of this thread."""
    if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
        raise TypeError(f"loop must be an instance of AbstractEventLoop or None, not '{type(loop).__name__}'")
    events._local._loop = loop


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of the default class."""
    return asyncio.EventLoop()


# These two run as the bodies of functions of asyncio.events, and so with its globals.


def _current_loop_for_c():
    import _simulated_316

    return _simulated_316  # the C functions call its `get_event_loop`


def _on_fork():
    global _local
    _local = _Local()
    _set_running_loop(None)  # noqa: F821
    signal.set_wakeup_fd(-1)  # noqa: F821
