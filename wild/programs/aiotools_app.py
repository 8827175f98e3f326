"""aiotools: a server of two processes, each with a loop and a child; and its forks."""

import asyncio
import os
import signal
import sys
import threading

import aiotools
from _child import child


@aiotools.server_context
async def serve(loop: asyncio.AbstractEventLoop, number: int, arguments: object) -> object:
    print(number, await child(), flush=True)
    loop.call_later(0.5, os.kill, os.getppid() if number else os.getpid(), signal.SIGTERM)
    yield


if __name__ == "__main__":
    threading.Timer(60, sys.exit, [1])
    aiotools.start_server(serve, num_workers=1)
    print("stopped")
