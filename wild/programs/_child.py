"""A child for the programs beside this file."""

import asyncio
import sys


async def child(code: int = 3) -> int:
    """Start a child that writes its input back, and return its returncode."""
    script = f"import sys; sys.stdout.write(sys.stdin.read()); sys.exit({code})"
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", script, stdin=-1, stdout=-1)
    output, _ = await process.communicate(b"hello")
    assert output == b"hello"
    return int(await process.wait())
