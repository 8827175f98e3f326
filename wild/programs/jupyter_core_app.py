"""jupyter_core: run_sync() in a loop and at the top level, ensure_event_loop(), and a child."""

import asyncio

from _child import child
from jupyter_core.utils import ensure_event_loop, run_sync


async def main() -> int:
    return run_sync(child)(4)


print(run_sync(child)(), asyncio.run(main()), ensure_event_loop().run_until_complete(child(5)))
