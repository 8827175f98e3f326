"""FastAPI and Starlette: the test client, whose loop is in a portal of anyio, asks a handler that starts a child."""

from _child import child
from fastapi import FastAPI
from fastapi.testclient import TestClient

application = FastAPI()


@application.get("/")
async def handle() -> int:
    return await child()


with TestClient(application) as client:
    print(client.get("/").json())
