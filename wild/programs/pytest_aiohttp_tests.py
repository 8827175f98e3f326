"""pytest-aiohttp: a test with its client, and a child."""

import os
import sys
from pathlib import Path

import pytest

TESTS = """
from aiohttp import web
from _child import child

async def handle(request):
    return web.Response(text=str(await child()))

async def test_client(aiohttp_client):
    application = web.Application()
    application.router.add_get("/", handle)
    client = await aiohttp_client(application)
    assert await (await client.get("/")).text() == "3"
"""
file = Path(os.environ["WILD_FOLDER"], "test_it.py")
file.write_text(TESTS)
words = ["-q", "-p", "no:cacheprovider", "-p", "no:governess", "-W", "ignore", "--asyncio-mode=auto", str(file)]
status = pytest.main(words)
print(f"status {int(status)}")
sys.exit(status)
