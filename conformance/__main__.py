"""The command: `make conformance ARGS="--python 3.15 --suite 3.11 -k test_kill"`."""

from __future__ import annotations

import argparse
import concurrent.futures
import sys
import time

from conformance import combination, page, report
from conformance.interpreters import PYTHONS, Interpreter, InterpreterMissing, find
from conformance.outcome import Outcome
from conformance.suites import SUITES, Suite


def main() -> int:
    """Run the suites, print what came of it, and return the exit status."""
    options = _options()
    suites = [suite for suite in SUITES if not options.suite or suite.version in options.suite]
    pythons = [python for python in PYTHONS if not options.python or python in options.python]
    try:
        interpreters = {version: find(version) for version in sorted({*pythons, *(suite.version for suite in suites)})}
    except InterpreterMissing as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    outcomes = _run(suites, pythons, interpreters, options)
    report.print_reasons(outcomes)
    if options.write:
        page.write_results(outcomes, {version: one.release for version, one in interpreters.items()})
    passed = sum(len(outcome.passed) for outcome in outcomes)
    failed = sum(len(outcome.problems) for outcome in outcomes)
    print(f"\n{passed} passed, {failed} failed" if passed or failed else "\nno test ran")
    return 0 if passed and not failed else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conformance", description="Run CPython's own tests of policies, watchers and children on governess."
    )
    parser.add_argument(
        "--python", action="append", choices=PYTHONS, metavar="3.x", help="run on this version; again for more"
    )
    parser.add_argument(
        "--suite",
        action="append",
        choices=[suite.version for suite in SUITES],
        metavar="3.x",
        help="run this version's tests; again for more",
    )
    parser.add_argument(
        "-k", action="append", default=[], metavar="NAME", help="only tests with NAME in their name; again for more"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many interpreters run at once (2)")
    parser.add_argument("--write", action="store_true", help="write the table of results into docs/conformance.md")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error("--jobs: must be 1 or more")
    if options.write and (options.python or options.suite or options.k):
        parser.error("--write: the table is of all suites on all interpreters")
    return options


def _run(
    suites: list[Suite], pythons: list[str], interpreters: dict[str, Interpreter], options: argparse.Namespace
) -> list[Outcome]:
    def run_one(suite: Suite, python: str) -> tuple[Outcome, float]:
        begin = time.monotonic()
        outcome = combination.run(suite, interpreters[suite.version], interpreters[python], options.k)
        return outcome, time.monotonic() - begin

    combinations = [(suite, python) for suite in suites for python in pythons if suite.runs_on(python)]
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(run_one, *one) for one in combinations]
        try:
            for future in futures:
                outcome, seconds = future.result()
                report.print_outcome(outcome, seconds)
                outcomes.append(outcome)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return outcomes


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
