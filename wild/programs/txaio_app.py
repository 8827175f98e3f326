"""txaio and autobahn: asyncio is chosen, a WebSocket server and client on it, and a child."""

import asyncio

import txaio

txaio.use_asyncio()
from _child import child  # noqa: E402
from autobahn.asyncio.websocket import (  # noqa: E402
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)


class Serving(WebSocketServerProtocol):
    async def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(str(await child()).encode())


class Asking(WebSocketClientProtocol):
    answer: "asyncio.Future[bytes]"

    def onOpen(self) -> None:
        self.sendMessage(b"ask")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.answer.set_result(payload)


async def main() -> None:
    loop = asyncio.get_running_loop()
    txaio.config.loop = loop
    serving, asking = WebSocketServerFactory(), WebSocketClientFactory()
    serving.protocol, asking.protocol = Serving, Asking
    Asking.answer = loop.create_future()
    server = await loop.create_server(serving, "127.0.0.1", 0)
    await loop.create_connection(asking, *server.sockets[0].getsockname())
    print((await Asking.answer).decode())
    server.close()


asyncio.run(main())
