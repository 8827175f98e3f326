"""Loop classes that limit how many tasks are in progress: `limited` derives one from any loop class."""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from types import CoroutineType
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

from governess.children._per_loop import set_unless_done
from governess.loops._change import LoopChange
from governess.loops._limited.limiter import Slot, SlotLimiter
from governess.loops._limited.stall import watch_for_stall
from governess.loops._priority.loop import PrioritizedLoop
from governess.loops._priority.ready import current_priority

if TYPE_CHECKING:
    from asyncio import BaseEventLoop as _Base

    _Coroutine = Coroutine[Any, Any, Any]
else:
    _Base = _Coroutine = object

__all__ = ["LimitedLoop", "checked_limit", "limit_of", "limited", "make_limited"]

LoopT = TypeVar("LoopT", bound=asyncio.AbstractEventLoop)

DEFAULT = 10


class LimitedLoop(_Base):
    """The mixin of a limited loop class: a task starts when it has acquired a slot.

    Attributes:
        max_tasks: how many tasks of one loop may be in progress at a time.
    """

    max_tasks = DEFAULT
    _limiter: SlotLimiter | None = None

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Create a task that starts when it has acquired a slot; arguments and errors are those of asyncio's loops."""
        if type(coro) is not CoroutineType and not asyncio.iscoroutine(coro):
            return super().create_task(coro, **options)  # which raises, unless the task factory accepts it
        limiter = self._limiter or self._make_limiter()
        wrapper = LimitedCoroutine(coro, limiter)
        if limiter.next_is_exempt:
            limiter.next_is_exempt = False
            wrapper.is_exempt = True
        return super().create_task(wrapper, **options) if options else super().create_task(wrapper)

    def create_exempt_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Create a task that needs no slot; arguments and errors are those of `create_task`."""
        limiter = self._limiter or self._make_limiter()
        limiter.next_is_exempt = True
        try:
            return self.create_task(coro, **options)
        finally:
            limiter.next_is_exempt = False

    def run_until_complete(self, future: Any) -> Any:
        """Run the loop until the future is done; a coroutine or a task that is passed here needs no slot."""
        limiter = self._limiter or self._make_limiter()
        if not asyncio.isfuture(future):
            limiter.next_is_exempt = True
        elif isinstance(future, asyncio.Task) and isinstance(slot := future.get_coro(), LimitedCoroutine):
            limiter.exempt(slot)
        try:
            return super().run_until_complete(future)
        finally:
            limiter.next_is_exempt = False

    def _make_limiter(self) -> SlotLimiter:
        self._limiter = SlotLimiter(self.max_tasks, _is_awaited)
        return self._limiter


def limited(loop_class: type[LoopT], max_tasks: SupportsIndex = DEFAULT) -> type[LoopT]:
    """Return a subclass of the loop class that has a limited number of tasks in progress at a time.

    A task in progress has a slot. The other tasks are queued until slots become free. They start in the order of their
    creation; in a `prioritized` loop, the most urgent task starts first. A task that waits lends its slot to the tasks
    that it has caused, one at a time, so they can always start. The task that `run_until_complete` runs needs no slot.

    Args:
        loop_class: any class with asyncio's public methods; a limited class gets the new limit.
        max_tasks: how many tasks of one loop may be in progress at a time.

    Raises:
        TypeError: `max_tasks` is not an integer.
        ValueError: `max_tasks` is less than 1.
    """
    return _limited(loop_class, checked_limit(max_tasks))  # type: ignore[arg-type]


def make_limited(loop: LoopT, max_tasks: SupportsIndex = DEFAULT) -> LoopT:
    """Change the class of an existing loop, which has no tasks yet, to its `limited` class; return the loop.

    Args:
        loop: the loop.
        max_tasks: as in `limited`.

    Raises:
        TypeError: the class of the loop cannot be changed, as with some classes written in C; or `max_tasks` is not an
            integer.
        ValueError: `max_tasks` is less than 1.
    """
    loop.__class__ = limited(type(loop), max_tasks)
    return loop


def checked_limit(max_tasks: SupportsIndex) -> int:
    """Return the limit as an int; errors are those of `limited`."""
    try:
        number = operator.index(max_tasks)
    except TypeError:
        raise TypeError(f"max_tasks is a number of tasks, not {max_tasks!r}") from None
    if number < 1:
        raise ValueError(f"max_tasks must be 1 or more, not {number}: no task would ever start")
    return number


@functools.cache
def _limited(loop_class: type[Any], max_tasks: int) -> type[Any]:
    bases = (loop_class,) if issubclass(loop_class, LimitedLoop) else (LimitedLoop, loop_class)
    doc = f"{loop_class.__qualname__} with at most {max_tasks} tasks in progress."
    return type(loop_class.__name__, bases, {"__module__": __name__, "__doc__": doc, "max_tasks": max_tasks})


class LimitedCoroutine(Slot, _Coroutine):
    """Wraps the coroutine of a task: its first step waits for a slot, and the limiter is told of every step.

    It is the slot of its task too: one object is made in less time than two.

    Its attributes (name, frame, code) are those of the coroutine. So is its state: anyio, which does not cancel a task
    that has not started, sees there that a queued task has not started.
    """

    # One is made for each task, so what few of them need stands here, and not in __init__.
    _has_begun = False
    _waiting: Generator[Any, None, None] | None = None

    def __init__(self, coroutine: Coroutine[Any, Any, Any], limiter: SlotLimiter) -> None:
        self.limiter = limiter
        self._cause = limiter.current or _cause.get()
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        """Run one step of the coroutine; or wait on in the queue."""
        if not self._has_begun:
            if self._waiting is None and self.limiter.start_at_once(self):
                self._has_begun = True
            elif (waiter := self._queue()) is not None:
                return waiter
        # The same stands in `throw`: a call more would make each step slower.
        limiter = self.limiter
        outer, limiter.current = limiter.current, self
        if _cause.get() is not self:  # in the first step; later, if other tasks run in the same context
            _cause.set(self)
        self.waits = False
        try:
            awaited = self._coroutine.send(value)
        except BaseException:
            limiter.release(self)
            raise
        finally:
            limiter.current = outer
        self.waits = True
        self.awaits = awaited
        if limiter.queue:
            limiter.lend(self)
        return awaited

    def throw(self, *error: Any) -> Any:
        """Raise the error where the coroutine waits; a queued coroutine ends with the error without a step."""
        if not self._has_begun:
            self._skip_queue()
            return self._coroutine.throw(*error)
        limiter = self.limiter
        outer, limiter.current = limiter.current, self
        if _cause.get() is not self:
            _cause.set(self)
        self.waits = False
        try:
            awaited = self._coroutine.throw(*error)
        except BaseException:
            limiter.release(self)
            raise
        finally:
            limiter.current = outer
        self.waits = True
        self.awaits = awaited
        if limiter.queue:
            limiter.lend(self)
        return awaited

    def close(self) -> None:
        """Close the coroutine and release its slot."""
        self._skip_queue()
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)

    def __repr__(self) -> str:
        return repr(self._coroutine)

    def _queue(self) -> Any:
        """Return what the task has to wait for before its first step; None if it has a slot."""
        loop = asyncio.get_running_loop()
        if self._waiting is None and not self._request(loop):
            admitted = loop.create_future()
            self.admit = functools.partial(set_unless_done, admitted, None)  # type: ignore[method-assign]
            self._waiting = admitted.__await__()
        if self._waiting is not None:
            try:
                return next(self._waiting)
            except StopIteration:
                self._waiting = None
        self._has_begun = True
        return None

    def _request(self, loop: asyncio.AbstractEventLoop) -> bool:
        if isinstance(loop, PrioritizedLoop):
            self.level = current_priority.get()
        # Its name in the queue is its task, because others may await the task.
        if self.limiter.request(self, asyncio.current_task(loop)):
            return True
        if loop.get_debug():
            watch_for_stall(loop, self.limiter)
        return False

    def _skip_queue(self) -> None:
        self._waiting = None
        self._has_begun = True
        self.limiter.release(self)


# Registered and not a subclass: CPython takes longer to make an object of a class with a metaclass.
_abc: Any = Coroutine
_abc.register(LimitedCoroutine)

# The slot of the task in whose context the current code runs, be it in a callback or in another thread.
_cause: ContextVar[Slot | None] = ContextVar("governess.cause", default=None)


def _is_awaited(task: asyncio.Task[Any], awaited: Any) -> bool:
    """Return whether to wait for `awaited` is to await the task; `wait_for` up to 3.11 has a future between."""
    if awaited is task:
        return True
    callbacks: Any = getattr(task, "_callbacks", None) or ()
    return any(
        isinstance(callback, functools.partial)
        and getattr(callback.func, "__name__", "") == "_release_waiter"
        and awaited in callback.args
        for callback, _ in callbacks
    )


def limit_of(max_tasks: SupportsIndex) -> LoopChange:
    """Return the change to a loop with this limit."""
    return LoopChange(lambda it: limited(it, max_tasks), lambda it: make_limited(it, max_tasks))
