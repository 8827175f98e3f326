"""aiojobs: a scheduler's jobs are children."""

import asyncio

from _child import child
from aiojobs import Scheduler


async def main() -> None:
    async with Scheduler() as scheduler:
        jobs = [await scheduler.spawn(child(code)) for code in (3, 4)]
        print([await job.wait() for job in jobs])


asyncio.run(main())
