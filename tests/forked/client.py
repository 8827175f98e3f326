"""`governess` for a shell: has the server fork a process with what this one was given, and ends as that does.

python -I -S client.py ADDRESS WORD…
"""

import _socket
import os
import pickle
import struct
import sys


def main() -> int:
    """Ask the server and wait; a process that reports nothing has failed."""
    # A program has an interpreter to itself. The server has already read the variables that an interpreter
    # reads when it starts.
    if sys.argv[1:2] == ["python"] or _read_at_start() != _read_by_the_server():
        os.execv(sys.executable, [sys.executable, "-m", "governess", *sys.argv[1:]])
    request = {
        "words": sys.argv[1:],
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "passed": [],
        "reports": True,
        "new_session": False,
    }
    asked = os.memfd_create("request")
    os.write(asked, pickle.dumps(request))
    report, theirs = os.pipe()
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    server.connect(f"{os.path.dirname(__file__)}/socket")
    descriptors = struct.pack("5i", asked, 0, 1, 2, theirs)
    server.sendmsg([b"fork"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
    os.close(theirs)
    status = os.read(report, 4)
    return int(struct.unpack("i", status)[0]) if status else 125


def _read_at_start() -> dict[str, str]:
    names = ("PYTHON", "GOVERNESS_", "TZ")  # as in `processes`, which this program does not import
    return {name: text for name, text in os.environ.items() if name.startswith(names) and name != "PYTHONUNBUFFERED"}


def _read_by_the_server() -> object:
    with open(f"{os.path.dirname(__file__)}/environment", "rb") as file:
        return pickle.load(file)


if __name__ == "__main__":
    sys.exit(main())
