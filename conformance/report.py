"""What the command prints."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable

from conformance.outcome import Outcome

__all__ = ["print_outcome", "print_reasons"]


def print_outcome(outcome: Outcome, seconds: float) -> None:
    """Print what came of one suite on one interpreter: a line, and all problems."""
    print(
        f"tests of {outcome.suite} on {outcome.python}:"
        f" {len(outcome.passed):>4} passed {len(outcome.problems):>4} failed"
        f" {len(outcome.skipped):>4} skipped {len(outcome.left_out):>4} left out {seconds:>6.1f} s",
        flush=True,
    )
    for name, problem in outcome.problems.items():
        print(f"\n  {name}:\n" + "".join(f"    {line}\n" for line in problem.rstrip().splitlines()), flush=True)


def print_reasons(outcomes: Iterable[Outcome]) -> None:
    """Print the reason of each test that was left out or skipped, and where it was."""
    outcomes = list(outcomes)
    _print("left out", outcomes, lambda outcome: {name: one.reason for name, one in outcome.left_out.items()})
    _print("skipped by CPython's tests themselves", outcomes, lambda outcome: outcome.skipped)


def _print(title: str, outcomes: list[Outcome], reasons_of: Callable[[Outcome], dict[str, str]]) -> None:
    tests_by_reason: dict[str, dict[str, list[Outcome]]] = {}
    for outcome in outcomes:
        for name, reason in reasons_of(outcome).items():
            tests = tests_by_reason.setdefault(" ".join(reason.split()), {})
            tests.setdefault(name, []).append(outcome)
    for reason, tests in tests_by_reason.items():
        print(f"\n{title}: {reason}")
        for name, where in tests.items():
            print(f"  {name} ({_where(where)})")


def _where(outcomes: list[Outcome]) -> str:
    """Say where: "3.11, 3.12 on 3.14, 3.15", the suites and the interpreters."""
    pythons = collections.defaultdict(list)
    for outcome in outcomes:
        pythons[outcome.suite].append(outcome.python)
    suites = collections.defaultdict(list)
    for suite, where in pythons.items():
        suites[", ".join(where)].append(suite)
    return "; ".join(f"{', '.join(names)} on {where}" for where, names in suites.items())
