"""aiomultiprocess: a pool of workers, each with a loop and a child."""

import asyncio

import aiomultiprocess
from _child import child


async def main() -> None:
    async with aiomultiprocess.Pool(2) as pool:
        print(await pool.map(child, [3, 4]))


if __name__ == "__main__":
    asyncio.run(main())
