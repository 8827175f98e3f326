"""aiomonitor: a monitored loop with a child."""

import asyncio

import aiomonitor
from _child import child


async def main() -> None:
    loop = asyncio.get_running_loop()
    with aiomonitor.start_monitor(loop, port=0, webui_port=0, console_port=0, hook_task_factory=True):
        print(await asyncio.create_task(child()))


asyncio.run(main())
