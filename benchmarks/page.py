"""What the performance page is made of: JSON, tables, pictures, and the list of ratios."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.chart import draw
from benchmarks.figures import figures_table, judge, ratios_table
from benchmarks.front import draw_front
from benchmarks.model import Found, Question
from benchmarks.tables import as_markdown, in_cells, ratios_of, tables

__all__ = ["keep", "kept", "write_summary"]


def keep(question: Question, found: Found, folder: Path) -> None:
    """Write the JSON, the pictures and the tables of a question."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / question.name
    path.with_suffix(".json").write_text(json.dumps(found.as_dict(), indent=1) + "\n")
    pictures = "\n".join(f"![{case}](performance/{name})" for case, name in draw(question, found, folder))
    parts = [_folded(case, as_markdown(in_cells(table))) for case, table in tables(question, found)]
    path.with_suffix(".md").write_text("\n".join([pictures + "\n", *parts]))
    for contestant in question.on_other_pages:
        table = as_markdown(ratios_of(contestant, question, found))
        (folder / f"{question.name}-{contestant}.md").write_text(table + "\n")


def kept(folder: Path) -> dict[str, Found]:
    """Return everything that was found so far."""
    return {path.stem: Found(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))}


def write_summary(folder: Path, targets: Path) -> None:
    """Write the ratios, the machines that they come from, and the picture of the front page.

    Args:
        folder: where the performance page finds them.
        targets: a page for developers, which has the ratios beside what is wanted.
    """
    results = kept(folder)
    figures = judge(results)
    (folder / "figures.md").write_text(as_markdown(ratios_table(figures)) + "\n")
    (folder / "machine.md").write_text(_machines(results))
    targets.write_text(f"# Wanted and found\n\n{as_markdown(figures_table(figures))}\n")
    draw_front(results, folder / "front.svg")


def _folded(case: str, table: str) -> str:
    """Return a table that a reader opens: the pictures say what matters, and pages stay short."""
    return f"<details>\n<summary>All figures: {case}</summary>\n\n{table}\n\n</details>\n"


def _machines(results: dict[str, Found]) -> str:
    """Return one table, or one for each machine if the questions were asked on several."""
    questions_of: dict[str, list[str]] = {}
    for name, found in results.items():
        table = as_markdown([["", ""], *([key, value] for key, value in found.machine.items())])
        questions_of.setdefault(table, []).append(name)
    if len(questions_of) == 1:
        return "\n".join(questions_of) + "\n"
    return "\n".join(f"{', '.join(names)}:\n\n{table}\n" for table, names in questions_of.items())
