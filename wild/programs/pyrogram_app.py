"""Pyrogram: its import and its sync wrappers at the top level, and a child."""

import asyncio

asyncio.set_event_loop(loop := asyncio.new_event_loop())
import pyrogram  # noqa: E402
from _child import child  # noqa: E402

client = pyrogram.Client("wild", api_id=1, api_hash="x", in_memory=True)
print(client.is_connected, loop.run_until_complete(child()))
