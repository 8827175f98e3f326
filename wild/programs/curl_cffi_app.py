"""curl_cffi: a request in a loop, whose readers and timers it uses, to a local server; and a child."""

import asyncio
import http.server
import threading

from _child import child
from curl_cffi.requests import AsyncSession

server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()


async def main() -> None:
    async with AsyncSession() as session:
        answer, code = await asyncio.gather(session.get(f"http://127.0.0.1:{server.server_port}/"), child())
        print(answer.status_code, code)


asyncio.run(main())
