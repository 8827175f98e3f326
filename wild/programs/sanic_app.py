"""sanic: its test client asks a handler that starts a child."""

from _child import child
from sanic import Sanic
from sanic.response import text

application = Sanic("wild")


@application.get("/")
async def handle(request: object) -> object:
    return text(str(await child()))


if __name__ == "__main__":
    _, response = application.test_client.get("/")
    print(response.text)
