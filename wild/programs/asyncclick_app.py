"""asyncclick: a command that starts a child."""

import asyncclick
from _child import child


@asyncclick.command()
async def command() -> None:
    asyncclick.echo(await child())


command(_anyio_backend="asyncio", args=[])
