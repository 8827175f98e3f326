"""The table in docs/compatibility.md."""

from __future__ import annotations

from pathlib import Path

from wild.entries import OWN_TESTS, Entry
from wild.run import Outcome, Result

__all__ = ["is_broken", "row", "write"]

PAGE = Path(__file__).parent.parent / "docs" / "compatibility.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def write(entries: list[Entry], table: list[list[Outcome | None]], pythons: tuple[str, ...]) -> None:
    """Write the table into the page.

    Args:
        entries: what is tried.
        table: the outcomes of each entry, in the order of the Pythons; None was not tried here. An entry that was tried
            on none of them keeps the row that it has in the page.
        pythons: the versions of Python.
    """
    before, rest = PAGE.read_text().split(BEGIN)
    there, after = rest.split(END)
    plain = [f"plain on {python}" for python in pythons]
    head = ["package", "version", *plain, f"governess on {pythons[-1]}", "what is different"]
    rows = []
    for entry, outcomes in zip(entries, table, strict=True):
        kept = next((line for line in there.splitlines() if _is_of(entry, line)), None)
        if any(outcomes) or kept:
            rows.append(_line(row(outcomes)) if any(outcomes) else str(kept))
    text = "\n".join([_line(head), _line(["---"] * len(head)), *rows])
    PAGE.write_text(f"{before}{BEGIN}\n\n{len(rows)} rows.\n\n{text}\n\n{END}{after}")


def _is_of(entry: Entry, line: str) -> bool:
    cells = line.strip("| ").split(" | ")
    is_same = cells[:2] == [f"`{entry.name}`", entry.version]
    return is_same and cells[-1].startswith(entry.note) and (bool(entry.note) or not cells[-1].startswith(OWN_TESTS))


def row(outcomes: list[Outcome | None]) -> list[str]:
    """Return the cells of an entry, whose outcomes are in the order of the Pythons."""
    tried = [outcome for outcome in outcomes if outcome is not None]
    entry, newest = tried[0].entry, outcomes[-1]
    versions = list(dict.fromkeys(outcome.version for outcome in tried if outcome.version))
    plain = ["not tried" if one is None else _word(one, one.results["plain"]) for one in outcomes]
    ours = "not tried"
    if newest is not None:
        results = [result for way, result in newest.results.items() if way != "plain"]
        ours = _word(newest, next((result for result in results if not result.worked), results[0]))
    own = f"on {tried[-1].python} plain: {_code(tried[-1].results['plain'].line)}" if entry.tests else ""
    text = "; ".join(filter(None, (entry.note, own, *dict.fromkeys(filter(None, map(_difference, tried))))))
    return [f"`{entry.name}`", ", ".join(versions) or entry.version, *plain, ours, text or "nothing"]


def is_broken(outcome: Outcome) -> bool:
    """Return whether plain Python works, and one of the ways of governess does not."""
    return outcome.results["plain"].worked and not all(result.worked for result in outcome.results.values())


def _word(outcome: Outcome, result: Result) -> str:
    if result.worked:
        return "works"
    return "fails" if outcome.version else "not installable"


def _difference(outcome: Outcome) -> str:
    plain, *ours = outcome.results.values()
    on = f"on {outcome.python}"
    if not outcome.version:
        return f"{on}: {_code(plain.line)}"
    failed = [result for result in ours if not result.worked]
    if failed:
        return f"{on}{', with governess alone' if plain.worked else ''}: {_code(failed[0].line)}"
    if not plain.worked:
        return f"{on} it needs governess: {_code(plain.line)}"
    lines = {result.line for result in ours} - {plain.line}
    return f"{on}: {_code(plain.line)} is {', '.join(map(_code, sorted(lines)))}" if lines else ""


def _code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "/") + "`"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
