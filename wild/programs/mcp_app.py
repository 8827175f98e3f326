"""The MCP SDK: a stdio server, which is a child, is asked for its tools."""

import asyncio
import os
import sys
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

SERVER = """
from mcp.server.fastmcp import FastMCP
server = FastMCP("wild")
@server.tool()
def add(a: int, b: int) -> int:
    return a + b
server.run()
"""
file = Path(os.environ["WILD_FOLDER"], "server.py")
file.write_text(SERVER)


async def main() -> None:
    parameters = StdioServerParameters(command=sys.executable, args=[str(file)], env=dict(os.environ))
    async with stdio_client(parameters) as (reader, writer), ClientSession(reader, writer) as session:
        await session.initialize()
        print([tool.name for tool in (await session.list_tools()).tools])


asyncio.run(main())
