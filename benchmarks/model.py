"""What a benchmark is made of: a question, its cases, its measures; and what was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Answers", "Case", "Found", "Measure", "Missing", "Question"]

# What one contestant measured in one round, by the name of the measure.
Answers = dict[str, float]


class Missing(Exception):
    """A contestant cannot take part here; the text says why, for people."""


@dataclass(frozen=True)
class Measure:
    """One of the numbers that a question asks for.

    Attributes:
        name: its key in the answers.
        heading: what people read, with the unit.
        scale: what a number is multiplied by for that unit.
        more_is_better: which way is good.
    """

    name: str
    heading: str
    scale: float = 1
    more_is_better: bool = False


@dataclass(frozen=True)
class Case:
    """The settings of one measurement, and who takes part.

    Attributes:
        name: its key in the results.
        settings: what `Question.answer` gets.
        contestants: by name, the base of the ratios among them.
        wrapper: returns the words before the command that starts a worker.
    """

    name: str
    settings: Mapping[str, Any]
    contestants: tuple[str, ...]
    wrapper: Callable[[], list[str]] = list


@dataclass(frozen=True)
class Question:
    """One benchmark.

    Attributes:
        name: of its file.
        title: what is asked.
        base: the contestant that all others are divided by.
        measures: the first one is drawn.
        answer: measures one contestant, in a process of its own: `answer(contestant, **settings)`.
        cases: the cases of the full and of the quick form.
        rounds: how often the full form asks everyone.
        logarithmic: the axis of the chart.
        on_other_pages: contestants whose ratios pages of the documentation include, each its own.
    """

    name: str
    title: str
    base: str
    measures: tuple[Measure, ...]
    answer: Callable[..., Answers]
    cases: Callable[[bool], list[Case]]
    rounds: int = 5
    logarithmic: bool = False
    on_other_pages: tuple[str, ...] = ()


@dataclass
class Found:
    """What a run has found for one question; kept as JSON.

    Attributes:
        rounds: case → contestant → its answers, one a round.
        missing: case → contestant → why it has none.
        settings: case → its settings.
    """

    question: str
    quick: bool
    machine: dict[str, str]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    rounds: dict[str, dict[str, list[Answers]]] = field(default_factory=dict)
    missing: dict[str, dict[str, str]] = field(default_factory=dict)

    as_dict = asdict

    def values(self, case: str, contestant: str, measure: str) -> list[float]:
        """Return one number a round; an empty list if the contestant has none."""
        return [answers[measure] for answers in self.rounds.get(case, {}).get(contestant, []) if measure in answers]
