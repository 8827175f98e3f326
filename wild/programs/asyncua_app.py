"""asyncua (OPC UA): its synchronous client's thread loop, and a child."""

from _child import child
from asyncua.sync import ThreadLoop

with ThreadLoop() as loop:
    print(loop.post(child()))
