"""granian: a server with a worker process answers a request, for which it starts a child."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from _port import free_port

SERVED = """
from _child import child
async def application(scope, receive, send):
    if scope["type"] == "http":
        body = str(await child()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": body})
"""
folder = Path(os.environ["WILD_FOLDER"])
(folder / "served.py").write_text(SERVED)
port = free_port()
prefix = [sys.executable, *(["-m", "governess", "python"] if "governess" in sys.modules else [])]
words = ["-m", "granian", "--interface", "asginl", "--port", str(port), "--loop", "asyncio", "served:application"]
server = subprocess.Popen([*prefix, *words], cwd=folder)
try:
    for _ in range(300):
        try:
            print(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read().decode())
            break
        except OSError:  # the worker is not ready yet
            time.sleep(0.1)
    else:
        raise SystemExit("no answer")
finally:
    server.send_signal(signal.SIGTERM)
    server.wait(20)
