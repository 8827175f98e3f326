"""ib_async and eventkit: util.run at the top level, patchAsyncio(), and a child."""

import asyncio

asyncio.set_event_loop(asyncio.new_event_loop())
from _child import child  # noqa: E402
from ib_async import util  # noqa: E402

util.patchAsyncio()
print(util.run(child()))
