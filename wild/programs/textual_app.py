"""Textual: an application without a terminal, whose worker starts a child."""

import asyncio

from _child import child
from textual.app import App


class Wild(App[int]):
    async def on_mount(self) -> None:
        self.run_worker(self.work())

    async def work(self) -> None:
        self.exit(await child())


async def main() -> int | None:
    application = Wild()
    return await application.run_async(headless=True)


print(asyncio.run(main()))
