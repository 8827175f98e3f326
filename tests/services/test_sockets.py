"""Listening sockets that stay open, health, and files that are watched."""

import asyncio
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from governess.services import Exec, Health, Http, LogLine, Notify, Service, ServiceError, State, Supervisor, Tcp
from governess.services._sockets import parse_address
from governess.services._watching import pattern_of
from supervision import free_port, supervised

SERVER = """
import os, socket, sys, threading
assert os.environ["LISTEN_PID"] == str(os.getpid()), "LISTEN_PID"
server = socket.socket(fileno=3)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s: s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
def answer(peer):
    peer.recv(100); peer.sendall(b"%d" % os.getpid()); peer.close()
while True:
    answer(server.accept()[0])
"""


# It answers what it has accepted before it ends. (asyncio's Server.close() drops what it has accepted last.)
DRAINING = """
import contextlib, os, select, signal, socket
server = socket.socket(fileno=3)
server.setblocking(False)
woken, wakes = socket.socketpair()
wakes.setblocking(False)
signal.set_wakeup_fd(wakes.fileno())
signal.signal(signal.SIGTERM, lambda number, frame: None)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s: s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while woken not in select.select([server, woken], [], [])[0]:
    with contextlib.suppress(BlockingIOError):  # another copy was faster
        peer, _ = server.accept()
        peer.recv(100); peer.sendall(b"%d" % os.getpid()); peer.close()
"""


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"?")
        return connection.recv(100)


@pytest.mark.parametrize(
    ("server", "copies"), [(SERVER, 1), (SERVER, 2), (DRAINING, 1), (DRAINING, 2)], ids=["1", "2", "drains", "2-drain"]
)
def test_no_connection_is_refused(run: Any, server: str, copies: int) -> None:
    """Of a thousand connections during restarts none is refused; all are answered if a server ends its work first."""
    port = free_port()
    service = Service(
        "web", (sys.executable, "-c", server), listen=(f"127.0.0.1:{port}",), copies=copies, ready=Notify(), grace=5
    )
    answers: list[bytes] = []
    failures: list[Exception] = []
    over = threading.Event()

    def load() -> None:
        count = 0
        while (count := count + 1) <= 250 or not over.is_set():
            try:
                answers.append(ask(port))
            except OSError as error:
                failures.append(error)

    async def main() -> None:
        async with supervised(service) as seen:
            await seen.reaches(f"web.{copies}", State.READY)
            threads = [threading.Thread(target=load) for _ in range(4)]
            for thread in threads:
                thread.start()
            for count in range(2, 5):
                await seen.supervisor.restart(["web"])
                await seen.reaches(f"web.{copies}", State.READY, count)
                pids = {b"%d" % pid for pid in seen.supervisor.processes().values()}
                while not pids & set(answers):
                    await asyncio.sleep(0.01)
            over.set()
            while any(thread.is_alive() for thread in threads):
                await asyncio.sleep(0.05)
            assert len({pid for pid in answers if pid}) > 1

    run(main())
    if server is DRAINING:
        assert not failures
        assert all(answers)
    # A connection that the old process had accepted may be cut off by its end; none is refused.
    assert not [error for error in failures if isinstance(error, ConnectionRefusedError | TimeoutError)]
    assert len(answers) >= 990


def test_a_path_as_address(run: Any, tmp_path: Path) -> None:
    """A socket at a path is made anew over one that nobody listens on, and removed in the end."""
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as old:
        old.bind(str(path))

    async def main() -> None:
        async with supervised(
            Service("web", (sys.executable, "-c", SERVER), listen=(str(path),), ready=Notify())
        ) as seen:
            await seen.reaches("web.1", State.READY)
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"?")
            assert int(await reader.read()) == seen.supervisor.processes()["web.1"]
            writer.close()

    run(main())
    assert not path.exists()


def test_an_address_in_use(run: Any) -> None:
    """An address that another program has is told, and nothing is started."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            with pytest.raises(ServiceError, match=f"listen: {address}: Address already in use"):
                async with supervised(Service("web", "true", listen=(address,))):
                    pass

    run(main())


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80)), (":80", ("", 80)), ("/run/x", "/run/x")],
)
def test_addresses(text: str, address: Any) -> None:
    """An address is a host and a port, or a path."""
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["80", "host", "host:", "host:http", "host:70000"])
def test_wrong_addresses(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(ValueError, match=r"is no address such as 127\.0\.0\.1:8000"):
        parse_address(text)


def test_health(run: Any, tmp_path: Path) -> None:
    """An unhealthy service gets well again, or is restarted after some refusals in a row."""
    sick = tmp_path / "sick"
    health = Health(Exec(f"test ! -e {sick}"), every=0.1, fails=5)

    async def main() -> None:
        async with supervised(Service("one", "exec sleep 1000", health=health)) as seen:
            await seen.reaches("one.1", State.READY)
            sick.touch()
            await seen.reaches("one.1", State.UNHEALTHY)
            sick.unlink()
            await seen.reaches("one.1", State.READY, 2)
            sick.touch()
            await seen.reaches("one.1", State.BACKOFF)
            sick.unlink()
            await seen.reaches("one.1", State.READY, 3)
        told = seen.told()
        check = f"exec test ! -e {sick}"
        assert f"one.1 is unhealthy: {check}: exit status 1" in told
        assert f"one.1 is healthy again: {check}" in told
        assert f"one.1 is unhealthy: {check}: exit status 1, 5 times in a row" in told

    run(main())


@pytest.mark.parametrize("check", [Tcp(1), Http("http://127.0.0.1:1/x")])
def test_health_of_a_closed_port(run: Any, check: Any) -> None:
    """Nobody at a port is a refusal, whose reason is told."""

    async def main() -> None:
        async with supervised(Service("one", "exec sleep 1000", health=Health(check, every=0.05, fails=1))) as seen:
            await seen.reaches("one.1", State.BACKOFF)
        assert any(f"one.1 is unhealthy: {check}: " in text and "refused" in text.lower() for text in seen.told())

    run(main())


def test_what_cannot_be_asked() -> None:
    """Health is something that can be asked again and again."""
    with pytest.raises(ValueError, match="log 'x' cannot be repeated: health is tcp, http or exec"):
        Health(LogLine("x"))  # type: ignore[arg-type]


def test_watch(run: Any, tmp_path: Path) -> None:
    """A service is restarted when one of its files changes, and not for others."""
    pytest.importorskip("watchfiles")
    (tmp_path / "src" / "deep").mkdir(parents=True)

    async def main() -> None:
        service = Service("web", "exec sleep 1000", cwd=str(tmp_path), watch=("src/**/*.py", "*.toml"))
        async with supervised(service, Service("other", "exec sleep 1000")) as seen:
            await seen.reaches("web.1", State.READY)
            await asyncio.sleep(0.2)  # the kernel's watch is set by a thread
            (tmp_path / "src" / "deep" / "x.py").write_text("1")
            await seen.reaches("web.1", State.READY, 2)
            (tmp_path / "src" / "note.txt").write_text("1")
            await asyncio.sleep(0.3)
            (tmp_path / "a.toml").write_text("1")
            await seen.reaches("web.1", State.READY, 3)
            told = seen.told()
        assert "web.1 is being restarted: x.py has changed" in told
        assert "web.1 is being restarted: a.toml has changed" in told
        assert sum("is being restarted" in text for text in told) == 2

    run(main())


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/a/b/c.py", True),
        ("src/**/*.py", "src/a.pyc", False),
        ("src/*.py", "src/a/b.py", False),
        ("src/?.py", "src/ab.py", False),
        ("a+b/*.x", "a+b/c.x", True),
        ("file.toml", "file.toml", True),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, path: str, matches: bool) -> None:
    """`**/` stands for any folders, `*` and `?` for what is within a name."""
    folder, expression = pattern_of(str(tmp_path / pattern))
    assert bool(expression.fullmatch(str(tmp_path.resolve() / path))) is matches
    assert str(tmp_path.resolve() / path).startswith(folder) or not matches


def test_a_folder_that_is_not_there(run: Any, tmp_path: Path) -> None:
    """A pattern in a folder that is not there is refused."""
    pytest.importorskip("watchfiles")

    async def main() -> None:
        with pytest.raises(ServiceError, match="service web, watch: there is no folder"):
            async with Supervisor([Service("web", "true", cwd=str(tmp_path), watch=("none/*.py",))]):
                pass

    run(main())
