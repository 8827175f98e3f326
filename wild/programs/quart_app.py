"""quart: its test client asks a handler that starts a child."""

import asyncio

from _child import child
from quart import Quart

application = Quart("wild")


@application.get("/")
async def handle() -> str:
    return str(await child())


async def main() -> None:
    response = await application.test_client().get("/")
    print((await response.get_data()).decode())


asyncio.run(main())
