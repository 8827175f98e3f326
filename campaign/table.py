"""The campaign's figures, for people and for docs/reliability.md."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from campaign.rounds import Outcome

__all__ = ["Figures"]

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"


@dataclass(frozen=True, slots=True)
class Figures:
    """What all rounds came to.

    Attributes:
        outcomes: what each round came to.
        seconds: how long they took.
    """

    outcomes: tuple[Outcome, ...]
    seconds: float

    @property
    def problems(self) -> int:
        """How many problems there were."""
        return sum(len(outcome.problems) for outcome in self.outcomes)

    @property
    def faults(self) -> Counter[tuple[str, str]]:
        """How many faults were injected, by the call and the error."""
        return sum((outcome.faults for outcome in self.outcomes), Counter())

    def text(self) -> str:
        """Return all of it as text."""
        parts = [self._summary(), self._by_hazard(), self._by_error(), self._by_call(), self._by_scenario()]
        return "\n\n".join("\n".join(_as_table(*part)) for part in parts)

    def write(self) -> None:
        """Write the tables into the page, in the place of those that are there."""
        page = PAGE.read_text()
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{self.text()}\n\n{END}{rest.split(END)[1]}")

    def _total(self, name: str) -> int:
        return sum(getattr(outcome, name) for outcome in self.outcomes)

    def _summary(self) -> tuple[list[str], list[list[object]]]:
        surfaced = sum(outcome.surfaced.total() for outcome in self.outcomes)
        seeds = ", ".join(str(seed) for seed in sorted({outcome.plan.seed for outcome in self.outcomes}))
        return ["", "value"], [
            ["system", f"Python {platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} processors"],
            ["seed", seeds],
            ["duration", f"{self.seconds / 60:.0f} minutes"],
            ["rounds, each in a process of its own", len(self.outcomes)],
            ["batches, each in a new loop, with a check for leaks after it", self._total("batches")],
            ["children", self._total("children")],
            ["faults", self.faults.total()],
            ["errors that these caused for callers", surfaced],
            ["children that a thief has reaped", self._total("stolen")],
            ["exits lost because of that", self._total("lost")],
            ["parents killed while children with `die_with_parent` ran", self._total("kills")],
            ["largest growth of memory in a round after its first third", f"{self._most_memory() / 2**20:.1f} MiB"],
            ["wrong statuses, hangs, leaks, crashes", self.problems],
        ]

    def _most_memory(self) -> int:
        return max((outcome.more_bytes for outcome in self.outcomes), default=0)

    def _by_hazard(self) -> tuple[list[str], list[list[object]]]:
        rows: dict[str, list[int]] = {}
        for outcome in self.outcomes:
            row = rows.setdefault(outcome.plan.hazard, [0, 0, 0, 0])
            for place, number in enumerate((1, outcome.children, outcome.faults.total(), len(outcome.problems))):
                row[place] += number
        return ["hazard", "rounds", "children", "faults", "problems"], [[name, *row] for name, row in rows.items()]

    def _by_error(self) -> tuple[list[str], list[list[object]]]:
        errors: Counter[str] = Counter()
        for (_, error), number in self.faults.items():
            errors[error] += number
        return ["error", "faults"], [list(pair) for pair in errors.most_common()]

    def _by_call(self) -> tuple[list[str], list[list[object]]]:
        calls: dict[str, Counter[str]] = {}
        for (call, error), number in self.faults.items():
            calls.setdefault(call, Counter())[error] += number
        ordered = sorted(calls.items(), key=lambda item: -item[1].total())
        return ["call", "faults", "of these"], [
            [call, errors.total(), ", ".join(f"{name} {number}" for name, number in errors.most_common())]
            for call, errors in ordered
        ]

    def _by_scenario(self) -> tuple[list[str], list[list[object]]]:
        done: Counter[str] = sum((outcome.done for outcome in self.outcomes), Counter())
        return ["scenario", "times"], [[name.replace("_", " "), number] for name, number in done.most_common()]


def _as_table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    lines = [head, ["---"] * len(list(head)), *rows]
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
