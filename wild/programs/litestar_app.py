"""Litestar: its test client asks a handler that starts a child."""

from _child import child
from litestar import Litestar, get
from litestar.testing import TestClient


@get("/")
async def handle() -> int:
    return await child()


with TestClient(Litestar([handle])) as client:
    print(client.get("/").json())
