"""The tables of docs/conformance.md: `python -m conformance.page` writes that of the exceptions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from conformance.interpreters import PYTHONS
from conformance.outcome import Outcome
from conformance.table import EXCLUSIONS, REVERSALS

__all__ = ["PAGE", "exceptions", "section", "write_results"]

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"


def exceptions() -> str:
    """Return the tables of what is left out and what is turned around."""
    left_out = (
        (_names(tests), _versions(one.suites), _versions(one.pythons), one.reason)
        for one in EXCLUSIONS
        for tests in _by_class(one.tests)
    )
    turned = ((_names(one.functions), f"`{one.assertion}`", _versions(one.suites), one.reason) for one in REVERSALS)
    return "\n".join(
        (
            *_table(("Left out", "of the tests of", "on", "Why"), left_out),
            "",
            *_table(("Function", "Assertion", "of the tests of", "Why"), turned),
        )
    )


def results(outcomes: Iterable[Outcome], releases: dict[str, str]) -> str:
    """Return the table of what came of each suite on each interpreter, whose release stands at its head."""
    rows = []
    for suite, group in itertools.groupby(outcomes, lambda outcome: outcome.suite):
        cells = {one.python: f"{len(one.passed)} · {len(one.skipped)} · {len(one.left_out)}" for one in group}
        rows.append((f"of {suite}", *(cells.get(python, "") for python in PYTHONS)))
    return "\n".join(_table(("Tests", *(f"on {releases[python]}" for python in PYTHONS)), rows))


def section(name: str) -> str:
    """Return what stands in a section of the page."""
    return _section(name, PAGE.read_text())[2]


def write_results(outcomes: Iterable[Outcome], releases: dict[str, str]) -> None:
    """Write the table of results into the page."""
    _write("results", results(outcomes, releases))


def _write(name: str, text: str) -> None:
    page = PAGE.read_text()
    begin, end, _ = _section(name, page)
    PAGE.write_text(f"{page[:begin]}{text}{page[end:]}")


def _section(name: str, page: str) -> tuple[int, int, str]:
    match = re.search(rf"(?<=<!-- {name} -->\n\n).*?(?=\n\n<!-- end of {name} -->)", page, re.DOTALL)
    if match is None:
        raise ValueError(f"{PAGE} has no section {name!r}")
    return *match.span(), match[0]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, tuple("---" for _ in head), *rows):
        yield f"| {' | '.join(row)} |"


def _by_class(tests: Iterable[str]) -> Iterator[list[str]]:
    for _, names in itertools.groupby(tests, lambda test: test.rpartition(".")[0]):
        yield list(names)


def _names(tests: Iterable[str]) -> str:
    return ", ".join(f"`{test}`" for test in tests)


def _versions(versions: tuple[str, ...]) -> str:
    return "all" if versions == PYTHONS else ", ".join(versions)


if __name__ == "__main__":
    _write("exceptions", exceptions())
