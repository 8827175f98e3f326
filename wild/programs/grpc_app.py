"""grpcio: a server and a client of grpc.aio; its handler starts a child."""

import asyncio

import grpc
from _child import child


async def answer(request: bytes, context: object) -> bytes:
    return str(await child()).encode()


async def main() -> None:
    server = grpc.aio.server()
    methods = {"ask": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("wild", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        print((await channel.unary_unary("/wild/ask")(b"")).decode())
    await server.stop(None)


asyncio.run(main())
