"""ddtrace: its patches of asyncio and subprocess; a child, and policies of the program."""

import os

os.environ["DD_TRACE_ENABLED"] = "false"
os.environ["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = "false"
import ddtrace.auto  # noqa: F401
import asyncio

from _child import child

asyncio.set_event_loop(loop := asyncio.new_event_loop())
print(loop.run_until_complete(child()), asyncio.run(child(4)))
