"""watchfiles: run_process() starts a process, and awatch() sees a file, beside a child."""

import asyncio
import os
from pathlib import Path

from _child import child
from watchfiles import awatch

folder = Path(os.environ["WILD_FOLDER"], "watched")
folder.mkdir(exist_ok=True)


async def main() -> None:
    asyncio.get_running_loop().call_later(0.5, (folder / str(os.getpid())).write_text, "hello")
    async for changes in awatch(folder):
        print([change.name for change, _ in changes][:1], await child())
        break


asyncio.run(main())
