"""greenback: awaits a child from sync code."""

import asyncio

import greenback
from _child import child


def work() -> int:
    return greenback.await_(child())


async def main() -> None:
    await greenback.ensure_portal()
    print(work())


asyncio.run(main())
