"""sh: its commands, sync and awaited, beside a child of asyncio."""

import asyncio

import sh
from _child import child


async def main() -> None:
    command = sh.echo("hello", _async=True)
    code = await child()
    print(str(await command).strip(), code)


print(str(sh.echo("first")).strip())
asyncio.run(main())
