"""pygls: a language server over stdio, which is a child, and starts a child itself; and its client."""

import asyncio
import os
import sys
from pathlib import Path

from pygls.lsp.client import BaseLanguageClient

SERVER = """
from _child import child
try:
    from pygls.lsp.server import LanguageServer
except ImportError:
    from pygls.server import LanguageServer
server = LanguageServer("wild", "1")
@server.command("wild.ask")
async def ask(*arguments):
    return await child()
server.start_io()
"""
file = Path(os.environ["WILD_FOLDER"], "language_server.py")
file.write_text(SERVER)
prefix = ["-m", "governess", "python"] if "governess" in sys.modules else []


async def main() -> None:
    from lsprotocol import types

    client = BaseLanguageClient("wild", "1")
    await client.start_io(sys.executable, *prefix, str(file))
    options = types.InitializeParams(capabilities=types.ClientCapabilities(), process_id=os.getpid(), root_uri=None)
    await client.initialize_async(options)
    client.initialized(types.InitializedParams())
    ask = getattr(client, "workspace_execute_command_async", None)
    print(await ask(types.ExecuteCommandParams(command="wild.ask", arguments=[])))
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()


asyncio.run(main())
