"""gevent: everything is patched; asyncio runs a child in the main thread, and gevent one of its own."""

from gevent import monkey

monkey.patch_all()
import asyncio  # noqa: E402
import sys  # noqa: E402

import gevent.subprocess  # noqa: E402
from _child import child  # noqa: E402

print(
    asyncio.run(child()), gevent.subprocess.run([sys.executable, "-c", "raise SystemExit(4)"], check=False).returncode
)
