"""pexpect: expect() in a loop, and a child."""

import asyncio

import pexpect
from _child import child


async def main() -> None:
    one = pexpect.spawn("cat", encoding="utf-8")
    one.sendline("hello")
    print(await one.expect("hello", async_=True), await child())
    one.close(force=True)


asyncio.run(main())
