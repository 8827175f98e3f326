"""Mangum: a handler for AWS Lambda, which runs an application that starts a child in the loop of the top level."""

import asyncio

from _child import child
from mangum import Mangum

asyncio.set_event_loop(asyncio.new_event_loop())


async def application(scope: object, receive: object, send: object) -> None:
    body = str(await child()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


http = {"method": "GET", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "x"}
event = {"version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "", "headers": {}}
event |= {"requestContext": {"http": http}, "isBase64Encoded": False}
print(Mangum(application, lifespan="off")(event, {})["body"])
