"""FastMCP: a stdio server, which is a child and starts one, is asked by its client."""

import asyncio
import os
import sys
from pathlib import Path

from fastmcp import Client
from fastmcp.client.transports import PythonStdioTransport

SERVER = """
from fastmcp import FastMCP
from _child import child
server = FastMCP("wild")
@server.tool()
async def ask() -> int:
    return await child()
server.run()
"""
file = Path(os.environ["WILD_FOLDER"], "server.py")
file.write_text(SERVER)


async def main() -> None:
    async with Client(PythonStdioTransport(file, python_cmd=sys.executable, env=dict(os.environ))) as client:
        print((await client.call_tool("ask", {})).data)


asyncio.run(main())
