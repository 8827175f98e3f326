"""The capacity limiter of a limited loop, apart from loops and tasks.

A task takes its first step when it has acquired a slot, and keeps the slot until it ends. A task without a slot is
queued. While a task waits for anything, it lends its slot to a queued task that it has created itself:

- to the task that it awaits, if that is one of them;
- else to the first of them, unless the slot is lent already.

A borrower can lend the slot on. When the borrower ends, its lender may lend the slot anew; when the lender ends first,
the borrower inherits the slot. A free slot goes to the first task in the queue. An exempt task runs without a slot.

There is no deadlock: if a task waits for tasks of its own, these cannot all stay queued. An awaited one starts at
once. Otherwise the first of them starts when its maker waits, and the next one when the first has ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

__all__ = ["Slot", "SlotLimiter"]


class Slot:
    """The slot of one task; the task may have to wait until it acquires the slot.

    Attributes:
        admit: called when a queued task has acquired the slot.
        is_acquired: whether the task has the slot, as its own or borrowed.
        is_exempt: whether the task runs without a slot.
    """

    __slots__ = (
        "_awaits",
        "_borrowers",
        "_lender",
        "_maker",
        "_name",
        "_queued",
        "_waits",
        "admit",
        "is_acquired",
        "is_exempt",
    )

    def __init__(self, maker: Slot | None = None) -> None:
        self.admit: Callable[[], object] = _nothing
        self.is_acquired = False
        self.is_exempt = False
        self._name: Hashable = None
        self._maker = maker
        self._waits = False
        self._awaits: Hashable = None
        self._queued: OrderedDict[Hashable, Slot] = OrderedDict()  # those of the tasks that it has created, by name
        self._lender: Slot | None = None
        self._borrowers: OrderedDict[Slot, None] = OrderedDict()


class SlotLimiter:
    """The limiter of one loop.

    Attributes:
        current: the slot of the task that takes a step now; a task created now has it as its maker.
    """

    def __init__(self, number: int) -> None:
        self.current: Slot | None = None
        self._free = number
        self._queue: OrderedDict[Slot, None] = OrderedDict()

    def request(self, slot: Slot, name: Hashable) -> bool:
        """Return whether the task can start now. If not, it is queued; its maker may await it by `name`."""
        if slot.is_exempt:
            return True
        if self._free and not self._queue:
            self._free -= 1
            self._acquire(slot)
            return True
        slot._name = name
        self._queue[slot] = None
        if slot._maker is not None:
            slot._maker._queued[name] = slot
            self._lend(slot._maker)
        return slot.is_acquired

    def resume(self, slot: Slot) -> None:
        """Note that the task takes a step."""
        slot._waits = False

    def suspend(self, slot: Slot, awaited: Hashable) -> None:
        """Note that the task waits now; it may lend its slot."""
        slot._waits = True
        slot._awaits = awaited
        if slot._queued:
            self._lend(slot)

    def release(self, slot: Slot) -> None:
        """Note that the task has ended, whether it had started or not."""
        self._leave_queue(slot)
        self._give_up(slot)
        for orphan in slot._queued.values():
            orphan._maker = None
        slot._queued.clear()
        slot._waits = False
        slot._awaits = slot._maker = None

    def exempt(self, slot: Slot) -> None:
        """Exempt the task; if it is queued, it starts now."""
        was_queued = slot in self._queue
        slot.is_exempt = True
        self._leave_queue(slot)
        self._give_up(slot)
        if was_queued:
            slot.admit()

    def _lend(self, maker: Slot) -> None:
        if not (maker.is_acquired and maker._waits):
            return
        borrower = maker._queued.get(maker._awaits)
        if borrower is None and not maker._borrowers:
            borrower = next(iter(maker._queued.values()), None)
        if borrower is not None:
            self._acquire(borrower, maker)

    def _acquire(self, slot: Slot, lender: Slot | None = None) -> None:
        self._leave_queue(slot)
        slot.is_acquired = True
        slot._maker = None
        if lender is not None:
            slot._lender = lender
            lender._borrowers[slot] = None
        slot.admit()

    def _leave_queue(self, slot: Slot) -> None:
        if slot not in self._queue:
            return
        del self._queue[slot]
        if slot._maker is not None:
            del slot._maker._queued[slot._name]
        slot._name = None

    def _give_up(self, slot: Slot) -> None:
        if not slot.is_acquired:
            return
        slot.is_acquired = False
        lender, slot._lender = slot._lender, None
        if lender is not None:
            del lender._borrowers[slot]
        if slot._borrowers:
            self._inherit(slot, lender)
        elif lender is not None:
            self._lend(lender)
        else:
            self._free += 1
            self._admit_next()

    def _inherit(self, slot: Slot, lender: Slot | None) -> None:
        """Give the slot to the first borrower; the others then borrow from that one."""
        heir, *others = slot._borrowers
        slot._borrowers.clear()
        heir._lender = lender
        if lender is not None:
            lender._borrowers[heir] = None
        for other in others:
            other._lender = heir
            heir._borrowers[other] = None

    def _admit_next(self) -> None:
        while self._free and self._queue:
            self._free -= 1
            self._acquire(next(iter(self._queue)))


def _nothing() -> None: ...
