"""debugpy: its adapter is started, tracing is on, and a child is run at the top level and by asyncio.run()."""

import asyncio

import debugpy
from _child import child

debugpy.listen(("127.0.0.1", 0))
print(asyncio.run(child()), asyncio.new_event_loop().run_until_complete(child(4)))
