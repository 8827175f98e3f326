"""synchronicity: an async class with a child, called from sync and async code; its loop is in a thread."""

import asyncio

from _child import child
from synchronicity import Synchronizer


class Work:
    async def run(self, code: int) -> int:
        return await child(code)


work = Synchronizer().create_blocking(Work, "Blocking", __name__)()


async def main() -> int:
    return int(await work.run.aio(4))


print(work.run(3), asyncio.run(main()))
