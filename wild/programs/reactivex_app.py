"""reactivex: an AsyncIOScheduler, and a child."""

import asyncio

import reactivex
from _child import child
from reactivex import operators
from reactivex.scheduler.eventloop import AsyncIOScheduler


async def main() -> None:
    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    source = reactivex.from_future(asyncio.ensure_future(child()))
    print(await source.pipe(operators.delay(0.01, scheduler)))


asyncio.run(main())
