"""Priority inheritance: a task that a more urgent task waits for runs with the priority of that one meanwhile.

When a task suspends, `waited_for` tells which tasks hold it up. A task that is waited for may wait for others itself:
so there is a graph of waiting tasks, and the level of a task is the most urgent of its own and of those that wait for
it, directly or by way of others.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Any, NamedTuple

from governess.loops._priority import ReadyQueue
from governess.loops._priority.ready import LEAST_URGENT, current_priority
from governess.loops._priority.waiting import waited_for

__all__ = ["Inheritance"]

Task = asyncio.Task[Any]


class _Wait(NamedTuple):
    """What a suspended task waits for.

    Attributes:
        level: the task's own priority.
        future: what it awaits.
        tasks: those that hold it up.
    """

    level: int
    future: asyncio.Future[Any]
    tasks: tuple[Task, ...]


class Inheritance:
    """The waiting tasks of one loop that may be held up by less urgent ones."""

    def __init__(self, queue: ReadyQueue) -> None:
        """Start with none."""
        self._queue = queue
        self._waits: dict[Task, _Wait] = {}
        self._waiters: dict[Task, dict[Task, None]] = {}  # by the task that they wait for
        queue.waits, queue.waiters = self._waits, self._waiters
        queue.after_step, queue.level_of = self.after_step, self.level_of

    def after_step(self, task: Any, context: Context) -> None:
        """Note what a task waits for, or no longer waits for, after its step.

        Args:
            task: the object whose method the callback was; anything else than a task is ignored.
            context: in which the step was run.
        """
        if not isinstance(task, asyncio.Task):
            return
        self._forget(task)
        if _is_suspended(task):
            own = context.get(current_priority, 0)
            if self._level(task, own) < self._queue.least_urgent:
                self._note(task, own)

    def level_of(self, task: Task, level: int) -> int:
        """Return the level of a task that others wait for: `level`, or a more urgent one that it inherits."""
        return self._level(task, level)

    def _level(self, task: Task, own: int) -> int:
        level, seen, left = own, {task}, [task]
        while left:
            for waiter in list(self._waiters.get(left.pop(), ())):
                wait = self._waits.get(waiter)
                if wait is not None and waiter not in seen and not wait.future.done():
                    seen.add(waiter)
                    left.append(waiter)
                    level = min(level, wait.level)
        return level

    def _note(self, task: Task, own: int) -> None:
        """Note what the suspended task waits for, and what these tasks wait for in turn."""
        left, seen = [(task, own)], {task}
        while left:
            task, own = left.pop()
            if task not in self._waits:
                self._add(task, own)
            for each in self._waits[task].tasks if task in self._waits else ():
                if each in seen:
                    continue
                seen.add(each)
                self._queue.promote(each, self._level(each, LEAST_URGENT))
                if _is_suspended(each):
                    # Its own priority is not known, and makes no difference to those that it waits for.
                    left.append((each, LEAST_URGENT))

    def _add(self, task: Task, own: int) -> None:
        tasks = tuple(it for it in waited_for(task) if it is not task and not it.done())
        if tasks:
            self._waits[task] = _Wait(own, task._fut_waiter, tasks)  # type: ignore[attr-defined]
            for each in tasks:
                self._waiters.setdefault(each, {})[task] = None

    def _forget(self, task: Task) -> None:
        wait = self._waits.pop(task, None)
        for each in () if wait is None else wait.tasks:
            waiters = self._waiters.get(each)
            if waiters is not None:
                waiters.pop(task, None)
                if not waiters:
                    del self._waiters[each]


def _is_suspended(task: Task) -> bool:
    future = task._fut_waiter  # type: ignore[attr-defined]
    return future is not None and not future.done()
