"""amqtt: a broker and a client in one loop, and a child."""

import asyncio

from _child import child
from _port import free_port
from amqtt.broker import Broker
from amqtt.client import MQTTClient


async def main() -> None:
    address = f"127.0.0.1:{free_port()}"
    anybody = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": address}}, "plugins": anybody})
    await broker.start()
    client = MQTTClient(config={"auto_reconnect": False})
    await client.connect(f"mqtt://{address}/")
    print(await child())
    await client.disconnect()
    await broker.shutdown()


asyncio.run(main())
