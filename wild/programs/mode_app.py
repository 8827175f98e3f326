"""mode: a service, which starts a child in a task of its own."""

import asyncio

asyncio.set_event_loop(loop := asyncio.new_event_loop())
import mode  # noqa: E402
from _child import child  # noqa: E402


class Work(mode.Service):
    def __post_init__(self) -> None:
        self.code = loop.create_future()

    @mode.Service.task
    async def work(self) -> None:
        self.code.set_result(await child())


async def main() -> None:
    async with Work() as work:
        print(await work.code)


loop.run_until_complete(main())
