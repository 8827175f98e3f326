"""daphne and channels: Twisted's asyncio reactor serves an application that starts a child."""

import threading
import urllib.request

from daphne.server import Server
from _child import child


async def application(scope: dict[str, object], receive: object, send: object) -> None:
    body = str(await child()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": body})


def ask() -> None:
    from twisted.internet import reactor

    (address,) = server.listening_addresses
    print(urllib.request.urlopen("http://{}:{}".format(*address), timeout=30).read().decode())
    reactor.callFromThread(reactor.stop)


server = Server(
    application,
    ["tcp:port=0:interface=127.0.0.1"],
    ready_callable=lambda: threading.Thread(target=ask).start(),
    signal_handlers=False,
)
server.run()
