"""pyzmq: its asyncio sockets, and a child."""

import asyncio

import zmq.asyncio
from _child import child


async def main() -> None:
    with zmq.asyncio.Context() as context:
        one, other = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        other.connect(f"tcp://127.0.0.1:{one.bind_to_random_port('tcp://127.0.0.1')}")
        await one.send(b"hello")
        print(await other.recv(), await child())
        one.close()
        other.close()


asyncio.run(main())
