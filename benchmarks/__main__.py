"""The command line: `python -m benchmarks [--quick] [QUESTION …]`."""

from __future__ import annotations

import argparse
import compileall
import importlib
import sys
import time
from pathlib import Path

from benchmarks.figures import figures_table, judge
from benchmarks.frame import ROOT, ask
from benchmarks.model import Found, Question
from benchmarks.page import keep, kept, write_summary
from benchmarks.questions import NAMES
from benchmarks.tables import as_text, tables

# Where the performance page finds what it shows; the quick form shows nothing that is worth a page.
PAGE, SCRATCH = ROOT / "docs" / "performance", ROOT / "build" / "benchmarks"
# What developers want to reach, beside what was found.
TARGETS = ROOT / "benchmarks" / "targets.md"


def main() -> int:
    """Ask the questions, print what was found, and keep it."""
    options = _options()
    compileall.compile_dir(ROOT / "src", quiet=2)  # as pip does; with PYTHONDONTWRITEBYTECODE nobody else would
    folder = options.into or (SCRATCH if options.quick else PAGE)
    for name in options.questions or NAMES:
        question: Question = importlib.import_module(f"benchmarks.questions.{name}").QUESTION
        found = _look_up(name, folder) if options.draw else _ask(question, options)
        _print(question, found)
        keep(question, found, folder)
    write_summary(folder, TARGETS if folder == PAGE else folder / TARGETS.name)
    print("\nfigures to reach\n\n" + as_text(figures_table(judge(kept(folder)))))
    return 0


def _ask(question: Question, options: argparse.Namespace) -> Found:
    began = time.monotonic()
    try:
        found = ask(question, options.quick, options.rounds or (1 if options.quick else question.rounds), _say)
    except RuntimeError as error:
        sys.exit(f"benchmarks: {error}")
    _say(f"{question.name} has taken {time.monotonic() - began:.0f} s")
    return found


def _look_up(name: str, folder: Path) -> Found:
    try:
        return kept(folder)[name]
    except KeyError:
        sys.exit(f"benchmarks: nothing is kept of {name} in {folder}; ask it first, without --draw")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=sys.modules["benchmarks"].__doc__)
    parser.add_argument("questions", nargs="*", choices=[*NAMES, []], metavar="QUESTION", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: under a minute for all")
    parser.add_argument("--rounds", type=int, metavar="N", help="so many rounds instead of what each question wants")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="where the results are kept")
    parser.add_argument("--draw", action="store_true", help="measure nothing, show again what is kept")
    return parser.parse_args()


def _print(question: Question, found: Found) -> None:
    for case, table in tables(question, found):
        print(f"\n{question.title}: {case}\n\n{as_text(table)}")


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
