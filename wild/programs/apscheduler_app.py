"""APScheduler 3: AsyncIOScheduler runs a job that starts a child."""

import asyncio

from _child import child
from apscheduler.schedulers.asyncio import AsyncIOScheduler


async def main() -> None:
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def job() -> None:
        done.set_result(await child())

    scheduler = AsyncIOScheduler(timezone="UTC")
    scheduler.add_job(job)
    scheduler.start()
    print(await done)
    scheduler.shutdown()


asyncio.run(main())
