"""A process that is killed while it starts children that are to die with it: arguments as of `campaign.worker`.

It writes a byte into the report for each child.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from campaign.build import Programs
from campaign.plan import plan_of
from campaign.settings import make_policy, run_in_place
from governess.subprocess import PIPE, start

__all__ = ["main"]

AT_ONCE = 12


def main(seed: str, number: str, build: str, folder: str, report: str) -> None:
    """Start children until somebody kills this process."""
    plan = plan_of(int(seed), int(number))
    program = str(Programs.in_folder(Path(build)).child)
    notes = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def hold(delay: float) -> None:
        while True:
            # A grace longer than anybody waits, and a child that ignores TERM: the kernel alone ends it.
            async with start(program, "stubborn", "600000", "0", stdout=PIPE, die_with_parent=True) as process:
                os.write(notes, b".")
                await asyncio.sleep(delay)
                process.kill()

    async def work(number: int) -> None:
        rng = plan.rng("orphans", number)
        await asyncio.gather(*(hold(rng.choice((0.001, 0.01, 600))) for _ in range(AT_ONCE)))

    run_in_place(plan, make_policy(plan), work)


if __name__ == "__main__":
    main(*sys.argv[1:])
