"""eventlet: its hub over asyncio; a coroutine with a child, and green threads."""

import eventlet.hubs

eventlet.hubs.use_hub("eventlet.hubs.asyncio")
import eventlet  # noqa: E402
from _child import child  # noqa: E402
from eventlet.asyncio import spawn_for_awaitable  # noqa: E402

green = eventlet.spawn(lambda: eventlet.sleep(0.01) or 4)
print(spawn_for_awaitable(child()).wait(), green.wait())
