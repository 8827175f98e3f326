"""aiosmtpd: a controller whose loop is in a thread; its handler starts a child."""

import smtplib

from _child import child
from _port import free_port
from aiosmtpd.controller import Controller


class Handler:
    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        return f"250 {await child()}"


port = free_port()
controller = Controller(Handler(), hostname="127.0.0.1", port=port, server_hostname="localhost")
controller.start()
with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
    client.ehlo()
    client.mail("a@example.org")
    client.rcpt("b@example.org")
    print(client.data(b"hello"))
controller.stop()
