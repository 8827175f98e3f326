"""Playwright: its driver, a child of a loop of its own, is started from sync and from async code and stopped."""

import asyncio

from _child import child
from playwright.async_api import async_playwright
from playwright.sync_api import sync_playwright

with sync_playwright() as one:
    print(one.chromium.name)


async def main() -> None:
    async with async_playwright() as another:
        print(another.firefox.name, await child())


asyncio.run(main())
