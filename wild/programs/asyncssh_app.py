"""asyncssh: a server whose session starts a child."""

import asyncio

import asyncssh
from _child import child


async def handle(process: object) -> None:
    process.stdout.write(str(await child()))
    process.exit(0)


class Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


async def main() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.create_server(Server, "127.0.0.1", 0, server_host_keys=[key], process_factory=handle)
    port = server.get_port()
    async with asyncssh.connect("127.0.0.1", port, known_hosts=None, username="wild", client_keys=None) as connection:
        print((await connection.run("x")).stdout)
    server.close()


asyncio.run(main())
