"""taskiq: a task of an in-memory broker starts a child."""

import asyncio

from _child import child
from taskiq import InMemoryBroker

broker = InMemoryBroker()


@broker.task
async def work() -> int:
    return await child()


async def main() -> None:
    await broker.startup()
    task = await work.kiq()
    print((await task.wait_result(timeout=30)).return_value)
    await broker.shutdown()


asyncio.run(main())
