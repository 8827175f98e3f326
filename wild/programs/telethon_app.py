"""Telethon: a client is made at the top level, its `loop`, and a child."""

import asyncio

from _child import child
from telethon import TelegramClient
from telethon.sessions import MemorySession

asyncio.set_event_loop(loop := asyncio.new_event_loop())
client = TelegramClient(MemorySession(), 1, "0" * 32)
print(client.is_connected(), loop.run_until_complete(child()))
