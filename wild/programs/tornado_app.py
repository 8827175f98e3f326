"""Tornado: a server, a request, a process of its own, and a child."""

import asyncio

import tornado.httpclient
import tornado.httpserver
import tornado.ioloop
import tornado.process
import tornado.testing
import tornado.web
from _child import child


class Handler(tornado.web.RequestHandler):
    async def get(self) -> None:
        process = tornado.process.Subprocess(["sh", "-c", "exit 4"])
        self.write(f"{await process.wait_for_exit(raise_error=False)} {await child()}")


async def main() -> None:
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Handler)]))
    socket, port = tornado.testing.bind_unused_port()
    server.add_socket(socket)
    response = await tornado.httpclient.AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/")
    server.stop()
    print(response.body.decode())


asyncio.run(main())
