"""nest_asyncio2: runs inside a loop, and at the top level; and a child."""

import asyncio

import nest_asyncio2
from _child import child

nest_asyncio2.apply()


async def outer() -> int:
    return asyncio.get_event_loop().run_until_complete(child())


print(asyncio.run(outer()))
