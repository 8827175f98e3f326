"""trio-asyncio: an asyncio coroutine and asyncio's child in trio."""

import asyncio

import trio
import trio_asyncio


async def asyncios() -> str:
    await asyncio.sleep(0.01)
    return "ok"


async def main() -> None:
    async with trio_asyncio.open_loop():
        print(await trio_asyncio.aio_as_trio(asyncios)())


trio.run(main)
