"""The command: `make pains` plays every story with every library; `ARGS=--write` makes docs/pains.md of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pains.cells import Cell, play_apart
from pains.contestants import CONTESTANTS
from pains.page import page_of
from pains.stories import Story, stories

PAGE = Path(__file__).parents[2] / "docs" / "pains.md"


def main() -> int:
    """Play the stories, print what was seen, and return 1 if governess does not relieve one."""
    options = _options()
    chosen = [story for story in stories() if not options.pain or story.number in options.pain]
    cells: dict[tuple[Story, str], Cell] = {}
    for story in chosen:
        print(f"\n{story.number:2} {story.pain}")
        for contestant in CONTESTANTS:
            cell = cells[story, contestant] = play_apart(story, contestant)
            print(f"   {cell.sign} {contestant}: {cell.words}", flush=True)
    if options.write:
        PAGE.write_text(page_of(chosen, cells))
    failed = [cell for (_, contestant), cell in cells.items() if "governess" in contestant and cell.is_felt]
    broken = [cell for cell in cells.values() if cell.is_broken]
    print(f"\n{len(chosen)} pains, {len(failed)} not relieved by governess, {len(broken)} scenarios broken")
    return 1 if failed or broken or not chosen else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pains", description="Play every story of a pain with every library.")
    parser.add_argument("pain", nargs="*", type=int, help="the numbers of the pains; all by default")
    parser.add_argument("--write", action="store_true", help="make docs/pains.md of it")
    options = parser.parse_args()
    if options.write and options.pain:
        parser.error("--write: the page is of all pains")
    return options


sys.exit(main())
