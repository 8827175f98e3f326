"""The capacity limiter of a limited loop, apart from loops and tasks.

A task takes its first step when it has acquired a slot, and keeps the slot until it ends. A task without a slot is
queued. Its cause is the task that has created it, or whose timer, callback or thread has; if that one has ended, the
cause of that one, and so on. While a task waits for anything, it lends its slot to a queued task:

- to the task that it awaits;
- else to the first of those that it has caused, unless the slot is lent already.

A borrower can lend the slot on. A borrower that its lender awaits goes on in the place of its lender, so it lends the
slot to those that its lender has caused, too. When the borrower ends, its lender may lend the slot anew; when the
lender ends first, the borrower inherits the slot. A free slot goes to the first task in the queue. An exempt task runs
without a slot.

There is no deadlock: if a task waits for tasks that it has caused, these cannot all stay queued. An awaited one starts
at once. Otherwise the first of them starts when its cause waits, and the next one when the first has ended.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable
from typing import Any

from governess.loops._limited.wait_queue import WaitQueue

__all__ = ["Slot", "SlotLimiter"]


class Slot:
    """The slot of one task; the task may have to wait until it acquires the slot.

    Attributes:
        limiter: of the task's loop.
        admit: called when a queued task has acquired the slot.
        is_acquired: whether the task has the slot, as its own or borrowed.
        is_exempt: whether the task runs without a slot.
        waits: whether the task waits.
        awaits: what for.
        level: its priority in the queue.
        due: its place in the queue: the number of tasks that had left it when it came, and more if it is not urgent.
    """

    # Here and not in __init__: one is made for each task, and few tasks ever set any of these.
    is_acquired = is_exempt = waits = False
    awaits: Hashable = None
    level = due = 0
    _has_ended = _is_queued = False
    _name: Hashable = None
    _patron: Slot | None = None  # in whose `_caused` it is
    _lender: Slot | None = None
    _borrowers: dict[Slot, None] | None = None
    _caused: WaitQueue[Slot] | None = None  # those of the queued tasks that it has caused

    def __init__(self, limiter: SlotLimiter, cause: Slot | None = None) -> None:
        self.limiter = limiter
        self._cause = cause

    def admit(self) -> object:
        """Do nothing: the task has not been queued."""


class SlotLimiter:
    """The limiter of one loop.

    Attributes:
        current: the slot of the task that takes a step now; a task created now has it as its cause.
        queue: the tasks that wait for a slot.
        admitted: how many tasks have started.
        next_is_exempt: whether the loop creates a task now that is exempt.
    """

    def __init__(self, number: int, is_awaited: Callable[[Any, Any], bool] = operator.is_) -> None:
        """Start with all slots free.

        Args:
            number: of the slots.
            is_awaited: returns whether to wait for its second argument is to await the task of the first, a name.
        """
        self._is_awaited = is_awaited
        self.current: Slot | None = None
        self.queue: WaitQueue[Slot] = WaitQueue()
        self.admitted = 0
        self.next_is_exempt = False
        self._free = number
        self._by_name: dict[Hashable, Slot] = {}

    def start_at_once(self, slot: Slot) -> bool:
        """Return whether the task can start now, because it is exempt or there is a free slot."""
        if slot.is_exempt:
            return True
        if not self._free or self.queue:
            return False
        self._free -= 1
        self.admitted += 1
        slot.is_acquired = True
        return True

    def request(self, slot: Slot, name: Hashable) -> bool:
        """Return whether the task can start now. If not, it is queued; others may await it by `name`."""
        if self.start_at_once(slot):
            return True
        slot._name = name
        slot._is_queued = True
        slot.due = self.admitted
        self.queue.add(slot)
        self._by_name[name] = slot
        cause = slot._patron = self._nearest_cause(slot)
        if cause is None:
            return False
        _caused_by(cause).add(slot)
        awaiting: Slot | None = cause
        while awaiting is not None:  # a cause further back may await it
            if awaiting.limiter is self and awaiting.waits and awaiting.is_acquired and self._awaits(awaiting, slot):
                self._acquire(slot, awaiting)
                return True
            awaiting = _living(awaiting._cause)
        self.lend(cause)
        return slot.is_acquired

    def resume(self, slot: Slot) -> None:
        """Note that the task takes a step."""
        slot.waits = False

    def suspend(self, slot: Slot, awaited: Hashable) -> None:
        """Note that the task waits now; it may lend its slot."""
        slot.waits = True
        slot.awaits = awaited
        if self.queue:
            self.lend(slot)

    def release(self, slot: Slot) -> None:
        """Note that the task has ended, whether it had started or not."""
        slot._has_ended = True
        if not self.queue and slot.is_acquired and not (slot._lender or slot._borrowers):  # most tasks end so
            slot.is_acquired = slot.waits = False
            slot.awaits = slot._name = slot._caused = None
            slot._cause = _living(slot._cause)
            self._free += 1
            return
        slot.waits = False
        slot.awaits = None
        if slot._is_queued:
            self._leave_queue(slot)
        slot._name = None
        self._hand_on_caused(slot)
        if slot.is_acquired:
            self._give_up(slot)

    def exempt(self, slot: Slot) -> None:
        """Exempt the task; if it is queued, it starts now."""
        was_queued = slot._is_queued
        slot.is_exempt = True
        if was_queued:
            self._leave_queue(slot)
        self._hand_on_caused(slot)
        if slot.is_acquired:
            self._give_up(slot)
        if was_queued:
            slot.admit()

    def lend(self, lender: Slot) -> None:
        """Lend the slot of a task to a queued one, if it waits, and as the rules at the top say."""
        if not (lender.is_acquired and lender.waits):
            return
        borrower = self._by_name.get(lender.awaits)
        if borrower is None and lender._borrowers:
            for each in lender._borrowers:
                if self._awaits(lender, each):
                    self.lend(each)
                    return
        elif borrower is None:
            borrower = self._first_caused(lender)
        if borrower is not None:
            self._acquire(borrower, lender)

    def _first_caused(self, slot: Slot) -> Slot | None:
        """Return the first queued task that the task has caused, or the one in whose place it goes on."""
        while not slot._caused:
            if slot._lender is None or not self._awaits(slot._lender, slot):
                return None
            slot = slot._lender
        return slot._caused.first()

    def _awaits(self, slot: Slot, other: Slot) -> bool:
        return other._name is not None and self._is_awaited(other._name, slot.awaits)

    def _nearest_cause(self, slot: Slot) -> Slot | None:
        cause = _living(slot._cause)
        while cause is not None and cause.limiter is not self:
            cause = _living(cause._cause)
        return cause

    def _acquire(self, slot: Slot, lender: Slot | None = None) -> None:
        self._leave_queue(slot)
        self.admitted += 1
        slot.is_acquired = True
        if lender is not None:
            slot._lender = lender
            _borrowers_of(lender)[slot] = None
        slot.admit()

    def _leave_queue(self, slot: Slot) -> None:
        self.queue.discard(slot)
        del self._by_name[slot._name]
        slot._is_queued = False
        patron, slot._patron = slot._patron, None
        if patron is not None and patron._caused is not None:
            patron._caused.discard(slot)

    def _hand_on_caused(self, slot: Slot) -> None:
        """Make the living cause of the task the cause of the queued ones that it has caused."""
        # Also without any: else a task that makes another one and ends, and so on, would keep all of them.
        slot._cause = _living(slot._cause)
        caused, slot._caused = slot._caused, None
        if not caused:
            return
        cause = self._nearest_cause(slot)
        for each in caused:
            each._patron = cause
            if cause is not None:
                _caused_by(cause).add(each)
        if cause is not None:
            self.lend(cause)

    def _give_up(self, slot: Slot) -> None:
        slot.is_acquired = False
        lender, slot._lender = slot._lender, None
        if lender is not None:
            assert lender._borrowers is not None
            del lender._borrowers[slot]
        if slot._borrowers:
            self._inherit(slot, slot._borrowers, lender)
        elif lender is not None:
            self.lend(lender)
        else:
            self._free += 1
            if self.queue:
                self._free -= 1
                self._acquire(self.queue.first())

    def _inherit(self, slot: Slot, borrowers: dict[Slot, None], lender: Slot | None) -> None:
        """Give the slot to the first borrower; the others then borrow from that one."""
        heir, *others = borrowers
        slot._borrowers = None
        heir._lender = lender
        if lender is not None:
            _borrowers_of(lender)[heir] = None
        for other in others:
            other._lender = heir
            _borrowers_of(heir)[other] = None


def _living(slot: Slot | None) -> Slot | None:
    """Return the slot, or the nearest cause whose task has not ended and is not exempt; of any loop."""
    while slot is not None and (slot._has_ended or slot.is_exempt):
        slot = slot._cause
    return slot


def _caused_by(slot: Slot) -> WaitQueue[Slot]:
    if slot._caused is None:
        slot._caused = WaitQueue()
    return slot._caused


def _borrowers_of(slot: Slot) -> dict[Slot, None]:
    if slot._borrowers is None:
        slot._borrowers = {}
    return slot._borrowers
