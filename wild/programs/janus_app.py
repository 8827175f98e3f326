"""janus: a queue between a thread and a loop, and a child."""

import asyncio

import janus
from _child import child


async def main() -> None:
    queue: janus.Queue[int] = janus.Queue()
    await asyncio.to_thread(queue.sync_q.put, 1)
    print(await queue.async_q.get(), await child())
    queue.close()
    await queue.wait_closed()


asyncio.run(main())
