"""uvloop: its policy, get_event_loop() at the top level, and a child."""

import asyncio

import uvloop
from _child import child

uvloop.install()
try:
    loop = asyncio.get_event_loop()
except RuntimeError:  # uvloop 0.22 and later make none
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
print(type(loop).__module__, loop.run_until_complete(child()))
loop.close()
