"""telnetlib3: a server whose shell starts a child, and a client."""

import asyncio

import telnetlib3
from _child import child


async def shell(reader: object, writer: object) -> None:
    writer.write(f"{await child()}\r\n")
    await writer.drain()
    writer.close()


async def main() -> None:
    server = await telnetlib3.create_server("127.0.0.1", 0, shell=shell, connect_maxwait=0.2)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await telnetlib3.open_connection("127.0.0.1", port, connect_minwait=0.1, connect_maxwait=0.2)
    print((await asyncio.wait_for(reader.readline(), 30)).strip())
    writer.close()
    server.close()


asyncio.run(main())
