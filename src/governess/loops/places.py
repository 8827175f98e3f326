"""Who is in progress and who stands in line: the rule of a limited loop, apart from loops and tasks.

There are so many places. A task takes its first step when it has one, and keeps it until it ends; until then it stands
in line. While a task waits, for whatever, it lends its place to a task that it has made itself and that stands in line:

- to the one that it awaits, if that is one of them;
- else to the first of them, unless somebody has borrowed the place already.

A borrower can lend the place on. When the borrower ends, its lender may lend it anew; when the lender ends first, the
place is the borrower's own. A place that nobody has goes to the first in line. A guest is in progress without a place.

Hence no deadlock: if a task waits for tasks of its own, those cannot all stand in line for ever. Awaited, one starts at
once. Else the first of them starts when its maker waits, and the next when that one has ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

__all__ = ["Claim", "Places"]


class Claim:
    """A task's claim to a place.

    Attributes:
        admit: called when a claim that stands in line has got its place.
        has_place: whether it has one, of its own or borrowed.
        is_guest: whether it needs none.
    """

    __slots__ = (
        "_awaits",
        "_borrowers",
        "_in_line",
        "_lender",
        "_maker",
        "_name",
        "_waits",
        "admit",
        "has_place",
        "is_guest",
    )

    def __init__(self, maker: Claim | None = None) -> None:
        self.admit: Callable[[], object] = _nothing
        self.has_place = False
        self.is_guest = False
        self._name: Hashable = None
        self._maker = maker
        self._waits = False
        self._awaits: Hashable = None
        self._in_line: OrderedDict[Hashable, Claim] = OrderedDict()  # of those that it has made, by name
        self._lender: Claim | None = None
        self._borrowers: OrderedDict[Claim, None] = OrderedDict()


class Places:
    """The places of one loop.

    Attributes:
        current: the claim of the task that takes a step now, which is the maker of what is made now.
    """

    def __init__(self, number: int) -> None:
        self.current: Claim | None = None
        self._free = number
        self._line: OrderedDict[Claim, None] = OrderedDict()

    def ask(self, claim: Claim, name: Hashable) -> bool:
        """Return whether the task can start now; else it stands in line, where its maker may await it by `name`."""
        if claim.is_guest:
            return True
        if self._free and not self._line:
            self._free -= 1
            self._seat(claim)
            return True
        claim._name = name
        self._line[claim] = None
        if claim._maker is not None:
            claim._maker._in_line[name] = claim
            self._lend(claim._maker)
        return claim.has_place

    def go_on(self, claim: Claim) -> None:
        """Note that the task takes a step."""
        claim._waits = False

    def wait(self, claim: Claim, awaited: Hashable) -> None:
        """Note that the task waits now; it lends its place if the rule says so."""
        claim._waits = True
        claim._awaits = awaited
        if claim._in_line:
            self._lend(claim)

    def end(self, claim: Claim) -> None:
        """Note that the task has ended, whether or not it had started."""
        self._leave_line(claim)
        self._give_up_place(claim)
        for orphan in claim._in_line.values():
            orphan._maker = None
        claim._in_line.clear()
        claim._waits = False
        claim._awaits = claim._maker = None

    def invite(self, claim: Claim) -> None:
        """Make the task a guest; if it stands in line, it starts now."""
        stood_in_line = claim in self._line
        claim.is_guest = True
        self._leave_line(claim)
        self._give_up_place(claim)
        if stood_in_line:
            claim.admit()

    def _lend(self, maker: Claim) -> None:
        if not (maker.has_place and maker._waits):
            return
        borrower = maker._in_line.get(maker._awaits)
        if borrower is None and not maker._borrowers:
            borrower = next(iter(maker._in_line.values()), None)
        if borrower is not None:
            self._seat(borrower, maker)

    def _seat(self, claim: Claim, lender: Claim | None = None) -> None:
        self._leave_line(claim)
        claim.has_place = True
        claim._maker = None
        if lender is not None:
            claim._lender = lender
            lender._borrowers[claim] = None
        claim.admit()

    def _leave_line(self, claim: Claim) -> None:
        if claim not in self._line:
            return
        del self._line[claim]
        if claim._maker is not None:
            del claim._maker._in_line[claim._name]
        claim._name = None

    def _give_up_place(self, claim: Claim) -> None:
        if not claim.has_place:
            return
        claim.has_place = False
        lender, claim._lender = claim._lender, None
        if lender is not None:
            del lender._borrowers[claim]
        if claim._borrowers:
            self._bequeath(claim, lender)
        elif lender is not None:
            self._lend(lender)
        else:
            self._free += 1
            self._serve()

    def _bequeath(self, claim: Claim, lender: Claim | None) -> None:
        """Let the first borrower have the place; the others borrow from that one."""
        heir, *others = claim._borrowers
        claim._borrowers.clear()
        heir._lender = lender
        if lender is not None:
            lender._borrowers[heir] = None
        for other in others:
            other._lender = heir
            heir._borrowers[other] = None

    def _serve(self) -> None:
        while self._free and self._line:
            self._free -= 1
            self._seat(next(iter(self._line)))


def _nothing() -> None: ...
