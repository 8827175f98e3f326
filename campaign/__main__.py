"""The command line: `python -m campaign [--minutes 10 | --children 1000000 --faults 10000] [--seed N] [--write]`."""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

from campaign import table
from campaign.build import NoCompiler, Programs, build
from campaign.plan import plan_of
from campaign.rounds import Outcome, run_round

# How many problems of a round are printed.
SHOWN = 12
CHILDREN, FAULTS = 1_000_000, 10_000


def main() -> int:
    """Run rounds until there were enough of them; return 1 if anything was wrong."""
    options = _options()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="campaign-build-") as folder:
        try:
            programs = build(Path(folder))
        except NoCompiler as error:
            print(f"campaign: skipped: {error}")
            return 0
        if options.round is not None:
            outcomes = [run_round(plan_of(options.seed, options.round), programs, options.batch)]
            _print(outcomes[0])
        else:
            outcomes = _run(programs, options)
    found = table.Figures(tuple(outcomes), time.monotonic() - began)
    print("\n" + found.text())
    if options.write:
        found.write()
    return 1 if found.problems else 0


def _run(programs: Programs, options: argparse.Namespace) -> list[Outcome]:
    outcomes: list[Outcome] = []
    began = time.monotonic()

    def is_enough() -> bool:
        if options.minutes is not None:
            return time.monotonic() - began >= options.minutes * 60
        children = sum(outcome.children for outcome in outcomes)
        faults = sum(outcome.faults.total() for outcome in outcomes)
        return children >= options.children and faults >= options.faults

    print(f"campaign: seed {options.seed}, {options.jobs} rounds at once", flush=True)
    plans = (plan_of(options.seed, number) for number in itertools.count())
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(run_round, plan, programs) for plan in itertools.islice(plans, options.jobs)}
        try:
            while running:
                done, running = concurrent.futures.wait(running, return_when="FIRST_COMPLETED")
                for future in done:
                    outcomes.append(future.result())
                    _print(outcomes[-1])
                while len(running) < options.jobs and not is_enough():
                    running.add(pool.submit(run_round, next(plans), programs))
        except KeyboardInterrupt:
            print("campaign: interrupted; the rounds that run come to their end", file=sys.stderr)
    return outcomes


def _print(outcome: Outcome) -> None:
    faults = outcome.faults.total()
    print(
        f"round {outcome.plan.number:>4}: {outcome.children:>6} children {faults:>5} faults"
        f" {len(outcome.problems):>3} problems {outcome.seconds:>6.1f} s  {outcome.plan}",
        flush=True,
    )
    for problem in outcome.problems[:SHOWN]:
        print("\n    " + problem.rstrip().replace("\n", "\n    "), flush=True)
    if outcome.problems:
        print(f"\n    again: python -m campaign --seed {outcome.plan.seed} --round {outcome.plan.number}\n", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m campaign", description="Hunt for wrong statuses, hangs and leaks.")
    parser.add_argument("--minutes", type=float, metavar="N", help="no new round after this time; else by numbers")
    parser.add_argument("--children", type=int, default=CHILDREN, metavar="N", help=f"at least ({CHILDREN:,})")
    parser.add_argument("--faults", type=int, default=FAULTS, metavar="N", help=f"at least ({FAULTS:,})")
    parser.add_argument("--seed", type=int, default=int(time.time()), metavar="N", help="what decides about each round")
    parser.add_argument("--round", type=int, metavar="K", help="this round alone, again")
    parser.add_argument("--batch", type=int, metavar="B", help="with --round: this batch of it alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many rounds at once")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error("--jobs: must be 1 or more")
    if options.batch is not None and options.round is None:
        parser.error("--batch: it is one of a round")
    return options


if __name__ == "__main__":
    sys.exit(main())
