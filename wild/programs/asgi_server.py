"""An ASGI server in this process answers a request whose handler starts a child."""

import asyncio
import importlib.util

from _child import child


async def application(scope: dict, receive: object, send: object) -> None:
    if scope["type"] == "http":
        body = str(await child()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": body})


async def ask(port: int) -> str:
    for _ in range(100):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            await asyncio.sleep(0.05)
    writer.write(b"GET / HTTP/1.1\r\nHost: wild\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.split(b"\r\n\r\n")[-1].decode()


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


async def main() -> None:
    port = free_port()
    if importlib.util.find_spec("hypercorn"):
        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        config, end = Config(), asyncio.Event()
        config.bind = [f"127.0.0.1:{port}"]
        server = asyncio.ensure_future(serve(application, config, shutdown_trigger=end.wait))
        print(await ask(port))
        end.set()
    else:
        import uvicorn

        one = uvicorn.Server(uvicorn.Config(application, port=port, lifespan="off", log_level="error"))
        server = asyncio.ensure_future(one.serve())
        print(await ask(port))
        one.should_exit = True
    await server


asyncio.run(main())
