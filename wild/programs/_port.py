"""A free port for the programs beside this file, whose servers cannot choose one themselves."""

import socket


def free_port() -> int:
    """Return a port of the loopback that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
