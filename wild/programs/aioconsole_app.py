"""aioconsole: asynchronous standard streams, and a child."""

import asyncio

import aioconsole
from _child import child


async def main() -> None:
    await aioconsole.aprint("hello", await child())


asyncio.run(main())
