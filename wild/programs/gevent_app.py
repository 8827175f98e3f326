"""gevent: everything is patched; asyncio runs a child in a real thread, and gevent one of its own."""

from gevent import monkey

monkey.patch_all(os=False, signal=False, subprocess=False)
import asyncio  # noqa: E402
import sys  # noqa: E402

import gevent.subprocess  # noqa: E402
from _child import child  # noqa: E402
from gevent import get_hub  # noqa: E402

words = [sys.executable, "-c", "raise SystemExit(4)"]
code = get_hub().threadpool.apply(lambda: asyncio.run(child()))
print(code, gevent.subprocess.run(words, check=False).returncode)
