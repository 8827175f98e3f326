"""slixmpp: a client is made and used in a loop of the top level, and a child."""

import asyncio

asyncio.set_event_loop(loop := asyncio.new_event_loop())
import slixmpp  # noqa: E402
from _child import child  # noqa: E402

client = slixmpp.ClientXMPP("a@example.org", "x")
print(client.boundjid.bare, loop.run_until_complete(child()))
