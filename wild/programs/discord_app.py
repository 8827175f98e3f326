"""discord.py: a client is made and closed in a loop, and a child."""

import asyncio

import discord
from _child import child


async def main() -> None:
    async with discord.Client(intents=discord.Intents.none()) as client:
        print(client.is_closed(), await child())


asyncio.run(main())
