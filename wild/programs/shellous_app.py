"""shellous: commands, a pipe, and a command that fails."""

import asyncio

from shellous import sh


async def main() -> None:
    print(await (sh("printf", "b\na\n") | sh("sort")), (await sh("sh", "-c", "exit 3").result(check=False)).exit_code)


asyncio.run(main())
