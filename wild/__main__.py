"""The command: `make wild ARGS="--python 3.15 -k aiohttp"`."""

from __future__ import annotations

import argparse
import concurrent.futures
import shutil
import sys

from wild import page
from wild.entries import Entry, load
from wild.run import Outcome, base_of, recorded, try_out

PYTHONS = ("3.13", "3.14", "3.15")


def main() -> int:
    """Try the entries, print what came of it, and return the exit status: 1 if governess breaks something."""
    options = _options()
    pythons = [python for python in PYTHONS if not options.python or python in options.python]
    entries = [entry for entry in load() if not options.k or any(word in entry.key for word in options.k)]
    if missing := [f"python{python}" for python in pythons if shutil.which(f"python{python}") is None]:
        print(f"wild: there is no {', '.join(missing)}", file=sys.stderr)
        return 2
    for python in pythons:
        base_of(python)
    outcomes = _try_all(entries, pythons, options.jobs)
    if options.write:
        every = load()
        page.write(every, [[recorded(entry, python) for python in PYTHONS] for entry in every], PYTHONS)
    broken = sum(map(page.is_broken, outcomes))
    print(f"\n{len(outcomes) - broken} passed, {broken} failed")
    return 1 if broken or not outcomes else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="wild", description="Distributions of others, plain and with governess.")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="on this version; again for more")
    parser.add_argument("-k", action="append", default=[], metavar="NAME", help="only those with NAME in their name")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many are tried at once (2)")
    parser.add_argument("--write", action="store_true", help="write the last outcomes into docs/compatibility.md")
    return parser.parse_args()


def _try_all(entries: list[Entry], pythons: list[str], jobs: int) -> list[Outcome]:
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(try_out, entry, python) for entry in entries for python in pythons]
        for future in futures:
            outcome = future.result()
            outcomes.append(outcome)
            words = [("works" if result.worked else "fails") for result in outcome.results.values()]
            mark = "  BROKEN" if page.is_broken(outcome) else ""
            print(f"{outcome.entry.key:45} {outcome.python}  {', '.join(words)}{mark}", flush=True)
            for way, result in outcome.results.items():
                print(f"    {way}: {result.line}", flush=True)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
