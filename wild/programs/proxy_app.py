"""proxy.py: a proxy with acceptors of its own is asked for a page of a local server; and a child."""

import asyncio
import http.server
import threading
import urllib.request

import proxy
from _child import child

if __name__ == "__main__":
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with proxy.Proxy(["--hostname", "127.0.0.1", "--port", "0", "--num-acceptors", "1", "--num-workers", "1"]) as one:
        handler = urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{one.flags.port}"})
        opener = urllib.request.build_opener(handler)
        with opener.open(f"http://127.0.0.1:{server.server_port}/", timeout=30) as answer:
            print(answer.status, asyncio.run(child()))
