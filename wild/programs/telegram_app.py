"""python-telegram-bot: an application is made, and a child."""

import asyncio

from _child import child
from telegram.ext import ApplicationBuilder


async def main() -> None:
    application = ApplicationBuilder().token("1:x").build()
    print(application.running, await child())


asyncio.run(main())
