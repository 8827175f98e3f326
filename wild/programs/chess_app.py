"""python-chess: an engine, which is a child, says its name."""

import asyncio
import os
import sys
from pathlib import Path

import chess.engine

ENGINE = """
for line in iter(input, "quit"):
    if line == "uci":
        print("id name wild")
        print("uciok", flush=True)
    elif line == "isready":
        print("readyok", flush=True)
"""
file = Path(os.environ["WILD_FOLDER"], "engine.py")
file.write_text(ENGINE)
if hasattr(chess.engine, "EventLoopPolicy"):
    asyncio.set_event_loop_policy(chess.engine.EventLoopPolicy())


async def main() -> None:
    transport, engine = await chess.engine.popen_uci([sys.executable, str(file)])
    print(engine.id["name"])
    await engine.quit()
    transport.close()


asyncio.run(main())
with chess.engine.SimpleEngine.popen_uci([sys.executable, str(file)]) as simple:
    print(simple.id["name"], "in a thread")
