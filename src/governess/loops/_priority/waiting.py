"""Which tasks hold up a suspended task: found in the future that it awaits, or in the frame of asyncio that awaits it.

asyncio does not record who holds a Lock or a Semaphore, or who serves a Queue. `record_holders` has these classes
record it in prioritized loops.
"""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import AsyncGeneratorType, CodeType, FrameType
from typing import Any

__all__ = ["record_holders", "waited_for"]

Task = asyncio.Task[Any]
Locals = dict[str, Any]

# The attributes of an awaitable that lead to its frame, and to what it awaits itself.
_CHAINS = (("cr_frame", "cr_await"), ("ag_frame", "ag_await"), ("gi_frame", "gi_yieldfrom"))

# How many frames of asyncio's may lie between a task's wait and the frame that tells for whom.
_DEPTH = 3


def waited_for(task: Task) -> Iterable[Task]:
    """Return the tasks that the suspended task waits for, as far as that is known."""
    future: Any = task._fut_waiter  # type: ignore[attr-defined]
    if isinstance(future, asyncio.Task):
        return (future,)
    if (found := _behind(future)) or not asyncio.isfuture(future):
        return found
    for frame in list(_frames(task.get_coro()))[: -_DEPTH - 1 : -1]:
        look = _looks().get(frame.f_code)
        if look is not None and (tasks := _tasks_of(look(frame.f_locals))):
            return tasks
    return ()


def _behind(future: Any) -> list[Task]:
    """Return the tasks of a future of `gather` or `shield`."""
    if (children := getattr(future, "_children", None)) is not None:
        return _tasks_of(children)
    callbacks: list[Any] = list(getattr(future, "_callbacks", None) or ())
    for callback, _ in callbacks:
        if getattr(callback, "__qualname__", "").startswith("shield."):
            return _tasks_of(cell.cell_contents for cell in callback.__closure__)
    return []


def _tasks_of(things: Iterable[Any]) -> list[Task]:
    tasks: list[Task] = []
    for each in list(things):
        if isinstance(each, asyncio.Task):
            tasks.append(each)
        elif asyncio.isfuture(each):
            tasks += _behind(each)
    return tasks


def _frames(awaitable: Any) -> Iterator[FrameType]:
    """Go from a coroutine to what it awaits, and so on."""
    while awaitable is not None:
        for frame_name, next_name in _CHAINS:
            if (frame := getattr(awaitable, frame_name, None)) is not None:
                yield frame
                awaitable = getattr(awaitable, next_name)
                break
        else:  # a step of an asynchronous generator refers to its generator alone, and to no attribute of it
            if type(awaitable).__name__ not in {"async_generator_asend", "async_generator_athrow"}:
                return
            awaitable = next((it for it in gc.get_referents(awaitable) if isinstance(it, AsyncGeneratorType)), None)


@functools.cache
def _looks() -> dict[CodeType, Callable[[Locals], Iterable[Any]]]:
    """Return for functions of asyncio: which futures, by its local variables, a frame of it waits for."""
    looks: dict[CodeType, Callable[[Locals], Iterable[Any]]] = {}

    def add(names: str, look: Callable[[Locals], Iterable[Any]]) -> None:
        function: Any = asyncio
        for name in names.split("."):
            function = getattr(function, name, None)
        function = getattr(function, "__wrapped__", function)
        if (code := getattr(function, "__code__", None)) is not None:
            looks[code] = look

    add("tasks._wait", lambda it: it["fs"])
    add("tasks.wait_for", lambda it: [it["fut"]])  # up to 3.11; later it awaits the task itself
    add("tasks._AsCompletedIterator._wait_for_one", lambda it: it["self"]._todo)
    for name in "__aexit__", "_aexit":
        add(f"TaskGroup.{name}", lambda it: it["self"]._tasks)
    for name in "Lock.acquire", "Semaphore.acquire", "Queue.join", "Queue.put":
        add(name, lambda it: _holders(it["self"]))
    add("Queue.get", lambda it: _holders(it["self"], _GIVERS))
    return looks


_HOLDERS, _GIVERS = "_governess_holders", "_governess_givers"


def _holders(thing: Any, name: str = _HOLDERS) -> list[Task]:
    return list(vars(thing).get(name, ()))


@functools.cache
def record_holders() -> None:
    """Have asyncio's classes record which tasks of prioritized loops hold or serve what others wait for.

    This is done when the first prioritized loop is made. A call in another loop costs one look at the running loop.
    """
    for lock_class in asyncio.Lock, asyncio.Semaphore:
        _record_acquire(lock_class)
        _wrap(lock_class, "release", lambda lock: _drop(lock, _HOLDERS))
    # A Queue is joined, and gets room, by those who take from it; it gets items from those who put some into it.
    _wrap(asyncio.Queue, "get_nowait", lambda queue: _add(queue, _HOLDERS))
    _wrap(asyncio.Queue, "put_nowait", lambda queue: _add(queue, _GIVERS))


def _record_acquire(lock_class: Any) -> None:
    acquire = lock_class.acquire

    @functools.wraps(acquire)
    async def recording(self: Any) -> Any:
        acquired = await acquire(self)
        _add(self, _HOLDERS)
        return acquired

    lock_class.acquire = recording


def _wrap(owner: Any, name: str, record: Callable[[Any], object]) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def recording(self: Any, *args: Any) -> Any:
        result = function(self, *args)
        record(self)
        return result

    setattr(owner, name, recording)


def _add(thing: Any, name: str) -> None:
    loop = asyncio._get_running_loop()
    if not hasattr(loop, "_ready_queue") or (task := asyncio.current_task(loop)) is None:
        return
    tasks = vars(thing).setdefault(name, {})
    if len(tasks) > 100:  # a queue that is not joined: those that have ended are of no use
        for each in [it for it in tasks if it.done()]:
            del tasks[each]
    tasks[task] = None


def _drop(thing: Any, name: str) -> None:
    """Forget that this task holds the thing; if another one does that releases it, forget the first one."""
    tasks = vars(thing).get(name)
    if not tasks:
        return
    with suppress(RuntimeError):  # no loop runs here
        task = asyncio.current_task()
        if task in tasks:
            del tasks[task]
            return
    del tasks[next(iter(tasks))]
