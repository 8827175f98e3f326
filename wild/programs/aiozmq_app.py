"""aiozmq: its own policy, a stream and a child."""

import asyncio

import aiozmq
import zmq
from _child import child

asyncio.set_event_loop_policy(aiozmq.ZmqEventLoopPolicy())


async def main() -> None:
    server = await aiozmq.create_zmq_stream(zmq.REP, bind="tcp://127.0.0.1:*")
    client = await aiozmq.create_zmq_stream(zmq.REQ, connect=next(iter(server.transport.bindings())))
    client.write([b"ping"])
    print(await server.read(), await child())
    client.close()
    server.close()


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(main())
loop.close()
