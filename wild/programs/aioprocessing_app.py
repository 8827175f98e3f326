"""aioprocessing: a process and a queue, awaited, and a child."""

import asyncio

import aioprocessing
from _child import child


def work(queue: object) -> None:
    queue.put(asyncio.run(child(4)))


async def main() -> None:
    queue = aioprocessing.AioQueue()
    process = aioprocessing.AioProcess(target=work, args=(queue,))
    process.start()
    print(await queue.coro_get(), await process.coro_join(), await child())


if __name__ == "__main__":
    asyncio.run(main())
