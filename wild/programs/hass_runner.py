"""Home Assistant's runner: its policy and its run()."""

import asyncio

from _child import child
from homeassistant import runner

asyncio.set_event_loop_policy(runner.HassEventLoopPolicy(False))
print(asyncio.run(child()))
