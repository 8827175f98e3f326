"""pymodbus: a server and a client, and a child."""

import asyncio

from _child import child
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer


async def main() -> None:
    context = ModbusServerContext(ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, [7] * 9)), single=True)
    server = ModbusTcpServer(context, address=("127.0.0.1", 0))
    await server.listen()
    port = server.transport.sockets[0].getsockname()[1]
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    print((await client.read_holding_registers(1)).registers, await child())
    client.close()
    await server.shutdown()


asyncio.run(main())
