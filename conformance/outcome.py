"""What came of one suite on one interpreter, judged by what it reported."""

from __future__ import annotations

import dataclasses
from typing import Any

from conformance import table

__all__ = ["Outcome", "judge"]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one suite on one interpreter.

    Attributes:
        suite: the version whose tests they are.
        python: the version that ran them.
        passed: the tests that passed.
        skipped: those that CPython's tests skip here, with their reason.
        left_out: those of the table.
        problems: what makes it a failure, by the name of the test or of what else went wrong.
    """

    suite: str
    python: str
    passed: list[str] = dataclasses.field(default_factory=list)
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    left_out: dict[str, table.Exclusion] = dataclasses.field(default_factory=dict)
    problems: dict[str, str] = dataclasses.field(default_factory=dict)


def judge(suite: str, python: str, lines: list[dict[str, Any]], output: str, *, partial: bool) -> Outcome:
    """Judge what `conformance.inside` has reported.

    Args:
        suite: the version whose tests they are.
        python: the version that ran them.
        lines: its report.
        output: what it printed; shown if it did not come to its end.
        partial: only some of the tests were asked for.
    """
    outcome = Outcome(suite, python)
    excluded = table.excluded(suite, python)
    existing = {name for line in lines for name in line.get("existing", [])}
    outcome.left_out.update({name: exclusion for name, exclusion in excluded.items() if name in existing})
    for line in lines:
        if "test" in line:
            _sort_in(outcome, line, excluded)
    if not any("done" in line for line in lines):
        started = [line["started"] for line in lines if "started" in line]
        outcome.problems[started[-1] if started else "the start"] = f"it never came to its end\n{output}"
        return outcome
    for name in excluded.keys() - existing:
        outcome.problems[name] = "left out, but there is no such test"
    if not partial:
        met = {tuple(pair) for line in lines for pair in line.get("reversed", [])}
        for function, assertion in table.reversed_assertions(suite) - met:
            outcome.problems[function] = f"its {assertion} is turned around, but was never met"
        if not outcome.passed:
            outcome.problems["the suite"] = "no test passed"
    return outcome


def _sort_in(outcome: Outcome, line: dict[str, Any], excluded: dict[str, table.Exclusion]) -> None:
    name, detail = line["test"], line["detail"]
    match line["outcome"]:
        case "passed" if name in excluded:
            outcome.problems[name] = f"left out ({excluded[name].reason}), but it passes"
        case "passed":
            outcome.passed.append(name)
        case "skipped":
            outcome.skipped[name] = detail
        case "failed" if name not in excluded:
            outcome.problems[name] = detail
