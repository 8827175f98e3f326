"""nest_asyncio: runs inside a loop, and at the top level; and a child."""

import asyncio

import nest_asyncio
from _child import child

nest_asyncio.apply()


async def outer() -> int:
    return asyncio.get_event_loop().run_until_complete(child())


print(asyncio.run(outer()), asyncio.get_event_loop().run_until_complete(outer()))
