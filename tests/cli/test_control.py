"""The control socket of `governess up`, in this process."""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("services need POSIX", allow_module_level=True)

from governess.cli.up.control import ControlServer
from governess.services import Service, Supervisor


def test_followed_lines_come_once(tmp_path: Path) -> None:
    """A client gets each line once, also one that is kept already, and passed on only after the client has come."""
    os.mkfifo(tmp_path / "go")
    passes = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def show(name: str, lines: bytes) -> None:
            assert passes.wait(20)
            loop.call_soon_threadsafe(control.show, name, lines)

        services = [
            Service("one", "echo 1; read line <go; echo 2; exec sleep 1000", cwd=str(tmp_path)),
            Service("other", "while :; do echo x; sleep 0.01; done"),
        ]
        async with Supervisor(services, on_output=show) as supervisor:
            control = ControlServer(supervisor, no_reload, tmp_path / "socket")
            await control.start()
            while not supervisor.recent_output("one.1"):
                await asyncio.sleep(0.001)
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
            writer.write(json.dumps({"do": "logs", "names": ["one"], "follow": True}).encode() + b"\n")
            assert await answer(reader) == {"name": "one.1", "lines": "1\n"}
            passes.set()
            await asyncio.to_thread((tmp_path / "go").write_text, "\n")
            assert await answer(reader) == {"name": "one.1", "lines": "2\n"}
            writer.close()
            await writer.wait_closed()
            await control.close()

    asyncio.run(asyncio.wait_for(main(), 30))


async def answer(reader: asyncio.StreamReader) -> Any:
    return json.loads(await reader.readline())


async def no_reload(only_told: bool) -> list[str]:
    return []
