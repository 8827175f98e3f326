"""asgiref: sync code calls async code that starts a child, and back."""

import asyncio

from _child import child
from asgiref.sync import async_to_sync, sync_to_async

print(async_to_sync(child)(), asyncio.run(sync_to_async(async_to_sync(child))()))
