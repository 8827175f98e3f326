"""aiorun: its run() ends with the loop's stop; a child."""

import asyncio

import aiorun
from _child import child


async def main() -> None:
    print(await child())
    asyncio.get_running_loop().stop()


aiorun.run(main())
