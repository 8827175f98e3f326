"""gunicorn with the worker of the command line, one request and a child."""

import importlib.util
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

KIND = "aiohttp.GunicornWebWorker" if importlib.util.find_spec("aiohttp") else "uvicorn.workers.UvicornWorker"
APPLICATION = """
from _child import child
async def application():
    from aiohttp import web
    async def handle(request):
        return web.Response(text=str(await child()))
    one = web.Application()
    one.router.add_get("/", handle)
    return one
async def asgi(scope, receive, send):
    if scope["type"] == "http":
        body = str(await child()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": body})
"""
folder = Path(os.environ["WILD_FOLDER"])
(folder / "served.py").write_text(APPLICATION)
(folder / "log").unlink(missing_ok=True)
prefix = [sys.executable, *(["-m", "governess", "python"] if "governess" in sys.modules else [])]
name = "served:application" if "aiohttp" in KIND else "served:asgi"
words = ["-m", "gunicorn", "-k", KIND, "-b", "127.0.0.1:0", "--log-file", "log", name]
server = subprocess.Popen([*prefix, *words], cwd=folder)
try:
    for _ in range(300):
        time.sleep(0.1)
        log = (folder / "log").read_text() if (folder / "log").exists() else ""
        if "Listening at: " in log and "Booting worker" in log:
            break
    address = log.split("Listening at: ")[1].split()[0]
    for _ in range(100):
        try:
            print(KIND, urllib.request.urlopen(address, timeout=30).read().decode())
            break
        except OSError:  # the worker is not ready yet
            time.sleep(0.1)
    else:
        raise SystemExit("no answer")
finally:
    server.terminate()
    server.wait(20)
