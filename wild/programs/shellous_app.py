"""shellous: a pipe, and a command that fails."""

import asyncio

from shellous import ResultError, sh


async def main() -> None:
    try:
        await sh("sh", "-c", "exit 3")
    except ResultError as error:
        print(await (sh("echo", "hello") | sh("cat")), error.result.exit_code)


asyncio.run(main())
