"""ipykernel and jupyter_client: a notebook's cells with nest_asyncio and a child."""

import sys

from jupyter_client.manager import KernelManager

CELL = """
import asyncio, nest_asyncio, sys
nest_asyncio.apply()
async def child():
    return await (await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")).wait()
print(asyncio.get_event_loop().run_until_complete(child()), await child())
"""
manager = KernelManager()
manager.kernel_spec.argv[0] = sys.executable
if "governess" in sys.modules:
    words = manager.kernel_spec.argv
    words[words.index("-m") : words.index("-m")] = ["-m", "governess", "python"]
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)
lines: list[str] = []
reply = client.execute_interactive(
    CELL, timeout=60, output_hook=lambda message: lines.append(str(message["content"].get("text", "")).strip())
)
client.stop_channels()
manager.shutdown_kernel(now=True)
assert reply["content"]["status"] == "ok", reply["content"]
print(" ".join(filter(None, lines)))
