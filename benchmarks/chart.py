"""Pictures of what was found: an SVG a case, as wide as a phone, in the colours of the page that shows it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchmarks.model import Found, Measure, Question
from benchmarks.spread import Spread, spread
from benchmarks.tables import number

__all__ = ["Scale", "draw", "draw_case"]

# Furo's variables, where the SVG is a part of the page; elsewhere a grey of 4:1 against white and against black.
INK = "var(--color-foreground-primary, #7d7d7d)"
FAINT = "var(--color-foreground-muted, #7d7d7d)"
OURS, THEIRS, LIMIT = "#2f9e77", "#8793b5", "#c08a3e"
# In pixels: the whole, a row, what is above and below the rows, a letter, a bold one, the value at the end of a bar.
WIDTH, ROW, TOP, BOTTOM, LETTER, BOLD, VALUE = 356, 23, 30, 40, 6.6, 7.6, 46


def draw(question: Question, found: Found, folder: Path) -> list[tuple[str, str]]:
    """Draw the first measure of every case; return the case and the file name of each picture.

    All pictures of a question have one scale.
    """
    measure = question.measures[0]
    cases = [case for case in found.rounds if found.rounds[case]]
    scale = _scale([each for case in cases for each in _measured(found, case, measure).values()], question, measure)
    pictures = []
    for index, case in enumerate(cases, 1):
        name = f"{question.name}-{index}.svg"
        (folder / name).write_text(draw_case(case, _measured(found, case, measure), measure, scale))
        pictures.append((case, name))
    return pictures


def draw_case(case: str, measured: dict[str, Spread], measure: Measure, scale: Scale) -> str:
    """Return one picture: a bar or a dot a contestant, and a line from its lowest to its highest round."""
    left = max(len(name) * (BOLD if _is_ours(name) else LETTER) for name in measured) + 8
    height = TOP + ROW * len(measured) + BOTTOM
    plot = Plot(left, WIDTH - left - VALUE, height - BOTTOM, scale)
    label = f"{measure.heading} ({'more' if measure.more_is_better else 'less'} is better)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(_in_words(case, measured, measure))}</title>",
        f'<text x="0" y="16" font-size="13" font-weight="600" style="fill:{INK}">{escape(case)}</text>',
        *plot.grid(),
        *(part for row, (name, each) in enumerate(measured.items()) for part in plot.row(row, name, each, measure)),
        f'<text x="0" y="{height - 6}" style="fill:{FAINT}">{escape(label)}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class Scale:
    """Where a value is, from 0 to 1.

    Attributes:
        logarithmic: whether the length of a bar would mean nothing.
        ticks: the values that have a line.
    """

    def __init__(self, lowest: float, highest: float, logarithmic: bool) -> None:
        self.logarithmic = logarithmic
        self._low, self._high = 0.0, highest
        self.ticks: list[float] = []
        if logarithmic:
            self._low, self._high = math.floor(math.log10(lowest)), math.log10(highest)
            self.ticks = [10.0**power for power in range(int(self._low), math.floor(self._high) + 1)]

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        if self.logarithmic:
            value = math.log10(max(value, 10**self._low))
        return (value - self._low) / (self._high - self._low)


class Plot:
    """The part of a picture that has the bars."""

    def __init__(self, left: float, width: float, bottom: float, scale: Scale) -> None:
        self._left, self._width, self._bottom, self._scale = left, width, bottom, scale

    def grid(self) -> Iterator[str]:
        """Return the lines of the scale, if it has some, and what they stand for."""
        for tick in self._scale.ticks:
            x = self._x(tick)
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{self._bottom}" style="stroke:{FAINT};opacity:.35"/>'
            text = f"{tick:,g}"
            yield f'<text x="{x:.1f}" y="{self._bottom + 13}" text-anchor="middle" style="fill:{FAINT}">{text}</text>'

    def row(self, row: int, name: str, each: Spread, measure: Measure) -> Iterator[str]:
        """Return a contestant: its name, its median, its lowest and highest round, and the median as a number."""
        y = TOP + ROW * (row + 0.5)
        median, low, high = (self._x(value * measure.scale) for value in each)
        weight = ' font-weight="600"' * _is_ours(name)
        anchor = f'x="{self._left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end"'
        yield f'<text {anchor}{weight} style="fill:{INK}">{escape(name)}</text>'
        if self._scale.logarithmic:
            yield f'<circle cx="{median:.1f}" cy="{y:.1f}" r="5" fill="{_color(name)}"/>'
        else:
            size = f'width="{max(1, median - self._left):.1f}" height="{ROW - 8}"'
            yield f'<rect x="{self._left:.1f}" y="{y - ROW / 2 + 4:.1f}" {size} rx="2" fill="{_color(name)}"/>'
        if low != high:
            yield f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}" style="stroke:{INK}"/>'
        end = max(median + 5 * self._scale.logarithmic, high) + 5
        value = number(each.median * measure.scale)
        yield f'<text x="{end:.1f}" y="{y + 4:.1f}" style="fill:{INK}">{value}</text>'

    def _x(self, value: float) -> float:
        return self._left + self._width * self._scale(value)


def _measured(found: Found, case: str, measure: Measure) -> dict[str, Spread]:
    spreads = {name: spread(found.values(case, name, measure.name)) for name in found.rounds[case]}
    return {name: each for name, each in spreads.items() if each}


def _scale(spreads: list[Spread], question: Question, measure: Measure) -> Scale:
    lowest = min(each.low for each in spreads) * measure.scale
    return Scale(lowest, max(each.high for each in spreads) * measure.scale, question.logarithmic)


def _in_words(case: str, measured: dict[str, Spread], measure: Measure) -> str:
    """Return what the picture shows, for those who cannot see it."""
    values = ", ".join(f"{name} {number(each.median * measure.scale)}" for name, each in measured.items())
    return f"{case}; {measure.heading}: {values}"


def _is_ours(name: str) -> bool:
    return name.startswith("governess")


def _color(name: str) -> str:
    if _is_ours(name):
        return OURS
    return LIMIT if name.startswith("C,") else THEIRS
