"""What the performance page is made of: JSON, tables, pictures, and the list of figures reached."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.chart import draw
from benchmarks.figures import figures_table, judge
from benchmarks.model import Found, Question
from benchmarks.tables import as_markdown, ratios_of, tables

__all__ = ["keep", "kept", "write_summary"]


def keep(question: Question, found: Found, folder: Path) -> str | None:
    """Write the JSON, the tables and the picture of a question; return what could not be done."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / question.name
    path.with_suffix(".json").write_text(json.dumps(found.as_dict(), indent=1) + "\n")
    parts = [f"### {case}\n\n{as_markdown(table)}\n" for case, table in tables(question, found)]
    path.with_suffix(".md").write_text("\n".join(parts))
    for contestant in question.on_other_pages:
        table = as_markdown(ratios_of(contestant, question, found))
        (folder / f"{question.name}-{contestant}.md").write_text(table + "\n")
    try:
        draw(question, found, path.with_suffix(".svg"))
    except ImportError:
        return "no picture: matplotlib is not installed"
    return None


def kept(folder: Path) -> dict[str, Found]:
    """Return everything that was found so far."""
    return {path.stem: Found(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))}


def write_summary(folder: Path) -> None:
    """Write the list of figures, and the machines that they come from."""
    results = kept(folder)
    (folder / "figures.md").write_text(as_markdown(figures_table(judge(results))) + "\n")
    (folder / "machine.md").write_text(_machines(results))


def _machines(results: dict[str, Found]) -> str:
    """Return one table, or one for each machine if the questions were asked on several."""
    questions_of: dict[str, list[str]] = {}
    for name, found in results.items():
        table = as_markdown([["", ""], *([key, value] for key, value in found.machine.items())])
        questions_of.setdefault(table, []).append(name)
    if len(questions_of) == 1:
        return "\n".join(questions_of) + "\n"
    return "\n".join(f"{', '.join(names)}:\n\n{table}\n" for table, names in questions_of.items())
