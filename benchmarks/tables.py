"""What was found, as tables for a terminal and for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.model import Found, Measure, Question
from benchmarks.spread import Spread, compare, spread

__all__ = ["as_markdown", "as_text", "in_cells", "number", "ratio", "ratios_of", "tables"]

Table = list[list[str]]
# A line may be broken after a dash, even before a no-break space, unless they are joined.
UNBROKEN_DASH = "\N{NO-BREAK SPACE}–\N{WORD JOINER}\N{NO-BREAK SPACE}"
COLUMNS_OF_WHOLE_RANGES = 6


def tables(question: Question, found: Found) -> Iterator[tuple[str, Table]]:
    """Return, case by case, its name and a table of medians and ratios; the first row is the heading."""
    heading = ["", *(text for measure in question.measures for text in (measure.heading, f"× {question.base}"))]
    for case in found.rounds:
        rows = [[name, *_cells(question, found, case, name)] for name in found.rounds[case]]
        yield case, [heading, *rows, *_absent(found, case, len(heading))]


def ratios_of(contestant: str, question: Question, found: Found) -> Table:
    """Return the ratios of one contestant: a row for each measure, a column for each case."""
    cases = [case for case in found.rounds if contestant in found.rounds[case]]
    rows = [
        [
            measure.heading.rpartition(",")[0],
            *(ratio(compare(found, measure.name, (case, contestant), (case, question.base))) for case in cases),
        ]
        for measure in question.measures
    ]
    return [[f"× {question.base}", *cases], *rows]


def in_cells(table: Table) -> Table:
    """Return a table of `tables` with each ratio below its median, so that it is half as wide.

    A range is not broken over two lines, unless there are too many columns for that.
    """
    (_, *headings), *rows = table
    narrow = [["", *headings[::2]]]
    shown = _whole if len(narrow[0]) <= COLUMNS_OF_WHOLE_RANGES else str
    for name, *cells in rows:
        pairs = zip(cells[::2], cells[1::2], strict=True)
        narrow.append([name, *(median if of in ("", "1") else f"{median}<br>× {shown(of)}" for median, of in pairs)])
    return narrow


def _whole(ratio: str) -> str:
    return ratio.replace(" – ", UNBROKEN_DASH)


def _cells(question: Question, found: Found, case: str, contestant: str) -> Iterator[str]:
    for measure in question.measures:
        yield _median(spread(found.values(case, contestant, measure.name)), measure)
        yield ratio(compare(found, measure.name, (case, contestant), (case, question.base)))


def _absent(found: Found, case: str, width: int) -> Iterator[list[str]]:
    for name, why in found.missing[case].items():
        yield [name, why, *[""] * (width - 2)]


def _median(values: Spread | None, measure: Measure) -> str:
    return "" if values is None else number(values.median * measure.scale)


def number(value: float) -> str:
    """Return three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(values: Spread | None) -> str:
    """Return the median, and the minimum and maximum in brackets unless there was but one round."""
    if values is None:
        return ""
    median, low, high = map(number, values)
    return median if low == high else f"{median} ({low} – {high})"


def as_text(table: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal."""
    widths = _widths(table)
    return "\n".join(_line(row, widths, "  ").rstrip() for row in table)


def as_markdown(table: Sequence[Sequence[str]]) -> str:
    """Return a table for the documentation."""
    table = [[cell.replace("|", "\\|") for cell in row] for row in table]
    widths = _widths(table)
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join(f"| {_line(row, widths, ' | ')} |" for row in (table[0], rule, *table[1:]))


def _widths(table: Iterable[Sequence[str]]) -> list[int]:
    return [max(3, *map(len, column)) for column in zip(*table, strict=True)]


def _line(row: Sequence[str], widths: Sequence[int], between: str) -> str:
    first, *rest = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return between.join([first, *rest])
