"""Services in order, their ends, and commands: with real programs."""

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from governess.services import Exec, Fd, Http, LogLine, Notify, Ready, Service, ServiceError, State, Supervisor, Tcp
from supervision import free_port, supervised

FOREVER = "exec sleep 1000"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]


def test_order(run: Any, tmp_path: Path) -> None:
    """A job waits for a service, and a service for both; each wait is told with its reason."""
    port = free_port()
    listen = f"sleep 0.3; exec {sys.executable} -m http.server {port} --bind 127.0.0.1"

    async def main() -> None:
        async with supervised(
            Service("web", FOREVER, after=("migrate", "db")),
            Service("migrate", "test -e up; touch migrated", job=True, cwd=str(tmp_path), after=("db",)),
            Service("db", f"touch up; {listen}", cwd=str(tmp_path), ready=Tcp(port)),
        ) as seen:
            await seen.reaches("web.1", State.READY)
            assert (tmp_path / "migrated").exists()
            ready, done = await seen.reaches("db.1", State.READY), await seen.reaches("migrate.1", State.DONE)
            assert ready < done < await seen.reaches("web.1", State.READY)
            told = seen.told()
        assert f"migrate.1 waits for db: tcp {port}" in told
        assert "web.1 waits for migrate: waiting" in told
        assert "web.1 waits for migrate: starting" in told

    run(main())


NOTIFY = """
import os, socket, time
time.sleep(0.3)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s: s.sendto(b"STATUS=x\\nREADY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(1000)
"""
SERVER = """
import http.server, sys, time
time.sleep(0.3)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ok?now" else 404); self.end_headers()
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.mark.parametrize("kind", ["tcp", "http", "exec", "log", "notify", "fd"])
def test_readiness(run: Any, kind: str, tmp_path: Path) -> None:
    """Whatever shows that a service is ready, what comes after it starts right then, and not before."""
    port = free_port()
    conditions: dict[str, tuple[Ready, Any]] = {
        "tcp": (Tcp(port), (sys.executable, "-c", SERVER, str(port))),
        "http": (Http("/ok?now"), (sys.executable, "-c", SERVER, str(port))),
        "exec": (Exec('test -e "$FILE"'), "sleep 0.3; touch $FILE; exec sleep 1000"),
        "log": (LogLine(r"listening on \d+"), "sleep 0.3; echo now listening on 80; exec sleep 1000"),
        "notify": (Notify(), (sys.executable, "-c", NOTIFY)),
        "fd": (Fd(5), "sleep 0.3; echo >&5; exec sleep 1000"),
    }
    ready, command = conditions[kind]
    env = {"FILE": str(tmp_path / "ready")}

    async def main() -> None:
        first = Service("first", command, ready=ready, port=port, env=env)
        async with supervised(first, Service("next", FOREVER, after=("first",))) as seen:
            ready_at = await seen.reaches("first.1", State.READY)
            assert await seen.reaches("next.1", State.READY) - ready_at < 1
            assert ready_at - seen.events[0][0] > 0.25

    run(main())


def test_not_ready_in_its_time(run: Any) -> None:
    """A service that does not get ready is ended, which is a failure; what comes after it goes on waiting."""

    async def main() -> None:
        slow = Service("slow", FOREVER, ready=LogLine("x"), ready_timeout=0.2, limit=2)
        async with supervised(slow, Service("next", FOREVER, after=("slow",))) as seen:
            assert await seen.supervisor.wait() == 143
        told = seen.told()
        assert "slow.1 is not ready after 0.20 s: log 'x'" in told
        assert "slow.1 was ended by SIGTERM, 2 times in a row, and is not started again" in told
        assert "next.1 waits for slow: failed" in told

    run(main())


def test_starts_of_a_program_that_dies(run: Any) -> None:
    """It is started after pauses of 0.1 s, 0.2 s, 0.4 s …, and no more when its limit is reached."""

    async def main() -> None:
        async with supervised(Service("crash", "exit 3", limit=4)) as seen:
            assert await seen.supervisor.wait() == 3
            times = [await seen.reaches("crash.1", State.READY, count) for count in range(1, 5)]
        pauses = [after - before for before, after in itertools.pairwise(times)]
        for pause, expected in zip(pauses, (0.1, 0.2, 0.4), strict=True):
            assert expected * 0.8 <= pause
        assert seen.told()[-1] == "crash.1 has ended with status 3, 4 times in a row, and is not started again"

    run(main())


@pytest.mark.parametrize(
    ("restart", "command", "status", "state"),
    [
        ("never", "exit 0", 0, State.DONE),
        ("never", "exit 7", 7, State.FAILED),
        ("on-failure", "exit 0", 0, State.DONE),
        ("never", "kill -9 $$", 137, State.FAILED),
        ("never", ("no-such-program",), 127, State.FAILED),
    ],
)
def test_the_status_of_all(run: Any, restart: Any, command: Any, status: int, state: State) -> None:
    """When nothing is left that may happen, `wait` returns the status of what has failed."""

    async def main() -> None:
        async with supervised(Service("one", command, restart=restart)) as seen:
            assert await seen.supervisor.wait() == status
            assert seen.supervisor.status()[0].state is state

    run(main())


def test_an_essential_end_ends_all(run: Any) -> None:
    """When an essential service has ended for good, `wait` returns its status though others run."""

    async def main() -> None:
        essential = Service("main", "exit 7", essential=True, restart="never")
        async with supervised(essential, Service("other", FOREVER)) as seen:
            assert await seen.supervisor.wait() == 7

    run(main())


def test_stop_in_the_reverse_order(run: Any, tmp_path: Path) -> None:
    """A service is told to end when what comes after it is gone, a grandchild that ignores TERM included."""
    stubborn = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > pid; exec sleep 1000' & wait; sleep 1000"

    async def main() -> None:
        async with supervised(
            Service("db", FOREVER),
            Service("web", stubborn, cwd=str(tmp_path), grace=0.4, after=("db",)),
        ) as seen:
            await seen.reaches("web.1", State.READY)
            while not (text := (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""):
                await asyncio.sleep(0.01)
            pid = int(text)
            assert is_alive(pid)
        stopping = await seen.reaches("web.1", State.STOPPING)
        stopped = await seen.reaches("web.1", State.STOPPED)
        assert stopped - stopping >= 0.4
        assert stopped <= await seen.reaches("db.1", State.STOPPING)
        assert not is_alive(pid)

    run(main())


def test_the_signal_that_stops(run: Any) -> None:
    """A service gets the signal that it wants in place of TERM."""

    async def main() -> None:
        command = "trap 'echo got it; exit 4' INT; echo up; while :; do sleep 0.05; done"
        async with supervised(Service("one", command, stop=signal.SIGINT, ready=LogLine("up"))) as seen:
            await seen.reaches("one.1", State.READY)
        assert "one.1 got it" in seen.lines
        assert seen.told()[-1] == "one.1 is stopped: has ended with status 4"

    run(main())


def test_what_a_dead_service_leaves(run: Any, tmp_path: Path) -> None:
    """When a service dies, what it has started is ended before it is started again."""

    async def main() -> None:
        command = "sleep 1000 & echo $! >> pids; sleep 0.1; exit 1"
        async with supervised(Service("one", command, cwd=str(tmp_path), grace=5)) as seen:
            await seen.reaches("one.1", State.READY, 2)
            first = int((tmp_path / "pids").read_text().split()[0])
            assert not is_alive(first)

    run(main())


def test_commands(run: Any) -> None:
    """Commands stop, start, restart and scale copies by their names and patterns, whatever these do."""

    async def main() -> None:
        async with supervised(
            Service("web", FOREVER, copies=2, port=5000), Service("crash", "exit 1"), Service("other", FOREVER)
        ) as seen:
            supervisor = seen.supervisor
            await seen.reaches("web.2", State.READY)
            await seen.reaches("crash.1", State.BACKOFF, 3)
            before = supervisor.processes()
            await supervisor.stop(["web.1", "crash"])
            states = {status.name: status.state for status in supervisor.status(["web", "c*"])}
            assert states == {"web.1": State.STOPPED, "web.2": State.READY, "crash.1": State.STOPPED}
            await supervisor.start(["web"])
            await seen.reaches("web.1", State.READY, 2)
            await supervisor.restart(["web.2"])
            await seen.reaches("web.2", State.READY, 2)
            await supervisor.scale("web", 3)
            await seen.reaches("web.3", State.READY)
            after = supervisor.processes()
            assert before["other.1"] == after["other.1"]
            assert not {before["web.1"], before["web.2"]} & {after["web.1"], after["web.2"]}
            await supervisor.scale("web", 1)
            assert sorted(supervisor.processes()) == ["other.1", "web.1"]
            with pytest.raises(ServiceError, match="there is no service 'wbe'; there are web, crash, other"):
                await supervisor.start(["wbe"])

    run(main())


def test_a_start_does_not_wait_for_the_pause(run: Any) -> None:
    """`start` starts a service at once that waits for the next of its pauses."""

    async def main() -> None:
        async with supervised(Service("crash", "exit 1")) as seen:
            await seen.reaches("crash.1", State.BACKOFF, 6)
            now = asyncio.get_running_loop().time()
            await seen.supervisor.start()
            assert await seen.reaches("crash.1", State.READY, 7) - now < 2.5

    run(main())


def test_copies_restart_one_after_the_other(run: Any) -> None:
    """Of the copies of a service, the next one stops when the one before is ready again."""

    async def main() -> None:
        command = "sleep 0.1; echo up; exec sleep 1000"
        async with supervised(Service("web", command, copies=3, ready=LogLine("up"))) as seen:
            for number in (1, 2, 3):
                await seen.reaches(f"web.{number}", State.READY)
            del seen.events[:]
            await seen.supervisor.restart(["web"])
            await seen.reaches("web.3", State.READY)
            names = [event.name for _, event in seen.events if event.state in (State.STOPPING, State.READY)]
            assert names == ["web.1", "web.1", "web.2", "web.2", "web.3", "web.3"]

    run(main())


def test_environment(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy has its own PORT and mark, and not what systemd gives to this process alone."""
    monkeypatch.setenv("LISTEN_PID", "1")

    async def main() -> None:
        command = 'echo "$PORT $GOVERNESS_SERVICE $A $LISTEN_PID."; exec sleep 1000'
        async with supervised(Service("web", command, copies=2, port=5100, env={"A": "1"}), mark="x:") as seen:
            await seen.until(lambda: len(seen.lines) == 2)
        assert sorted(seen.lines) == ["web.1 5100 x:web.1 1 .", "web.2 5101 x:web.2 1 ."]

    run(main())


@pytest.mark.parametrize(
    ("services", "text"),
    [
        ([("a", ("b",)), ("b", ("c",)), ("c", ("a",))], "these services wait for each other: "),
        (
            [("web", ()), ("app", ("wev",))],
            r"app, after: there is no service or job 'wev' \(did you mean 'web'\?\)",
        ),
        ([("a", ()), ("a", ())], "there are two services with the name a"),
        ([("a b", ())], "'a b' is no name of a service"),
    ],
)
def test_wrong_services(services: list[tuple[str, tuple[str, ...]]], text: str) -> None:
    """What cannot be run is refused with the name of the service and what is wrong."""
    with pytest.raises(ServiceError, match=text):
        Supervisor(Service(name, "true", after=after) for name, after in services)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"copies": -1}, "service a, copies: -1 is no number from 0 to 10000"),
        ({"restart": "sometimes"}, "service a, restart: 'sometimes' is none of always, on-failure, never"),
        ({"limit": 0}, "service a, limit: 0 is no number above 0"),
        ({"ready": Http("/x")}, "service a, ready: http /x has no port: give a whole URL, port or listen"),
        ({"command": ""}, "service a has no command"),
        ({"port": 65536}, "service a, port: 65536 is no port"),
    ],
)
def test_wrong_options(options: dict[str, Any], text: str) -> None:
    """A wrong option is refused with its name and value."""
    with pytest.raises(ServiceError, match=text):
        Service(**{"name": "a", "command": "true", **options})


def test_the_events_of_a_block(run: Any) -> None:
    """`async for` gives the events from the start, and ends when all services have ended."""

    async def main() -> None:
        async with Supervisor([Service("one", "exit 0", restart="never")]) as supervisor:
            texts = [event.text async for event in supervisor]
        assert len(texts) == 2
        assert texts[0].startswith("runs as process ")
        assert texts[1] == "has ended with status 0"

    run(main())


def test_a_second_cancellation_kills(run: Any) -> None:
    """Cancelled while it ends what ignores TERM, the block kills it."""

    async def main() -> None:
        async def block() -> None:
            stubborn = "trap '' TERM; echo up; while :; do sleep 0.1; done"
            async with supervised(Service("one", stubborn, grace=1000, ready=LogLine("up"))) as seen:
                watched.append(seen)
                await asyncio.Event().wait()

        watched: list[Any] = []
        task = asyncio.create_task(block())
        while not watched:
            await asyncio.sleep(0.01)
        await watched[0].reaches("one.1", State.READY)
        task.cancel()
        await watched[0].reaches("one.1", State.STOPPING)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert watched[0].told()[-1] == "one.1 is stopped: was ended by SIGKILL"

    run(main())


OPENS = """
import http.server, os, socket, sys, time
kind, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *words): pass
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
time.sleep(1.3)
opened = time.time()
if kind in ("tcp", "http"): server = http.server.HTTPServer(("127.0.0.1", port), Handler)
elif kind == "exec": open(path + ".ready", "w").close()
elif kind == "log": print("listening", flush=True)
elif kind == "notify": notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
elif kind == "fd": os.write(5, b"\\n")
with open(path, "w") as file: file.write(str(opened))
if kind in ("tcp", "http"): server.serve_forever()
time.sleep(1000)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tcp", "http", "exec", "log", "notify", "fd"])
def test_how_soon_the_next_one_starts(run: Any, kind: str, tmp_path: Path) -> None:
    """What comes after a service starts within 150 ms of the moment in which that gets ready, after 1.3 s."""
    port, path = free_port(), tmp_path / "opened"
    conditions: dict[str, Ready] = {
        "tcp": Tcp(port),
        "http": Http("/"),
        "exec": Exec(f"test -e {path}.ready"),
        "log": LogLine("listening"),
        "notify": Notify(),
        "fd": Fd(5),
    }

    async def main() -> float:
        first = Service(
            "first", (sys.executable, "-c", OPENS, kind, str(port), str(path)), ready=conditions[kind], port=port
        )
        next_one = Service("next", f"date +%s.%N > {tmp_path}/started; exec sleep 1000", after=("first",))
        async with supervised(first, next_one) as seen:
            await seen.reaches("next.1", State.READY)
            while not (started := read(tmp_path / "started")) or not (opened := read(path)):
                await asyncio.sleep(0.01)
            return float(started) - float(opened)

    # The best of three, since other programs of a busy machine may come between.
    delays = []
    for _ in range(3):
        delays.append(run(main()))
        if delays[-1] <= 0.15:
            break
        for name in ("opened", "opened.ready", "started"):
            (tmp_path / name).unlink(missing_ok=True)
    print(f"{kind}: {min(delays) * 1000:.0f} ms")
    assert min(delays) <= 0.15


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_cancellation_in_the_end_is_not_lost(run: Any) -> None:
    """Cancelled while the block is left in peace, the task is cancelled when all are gone."""

    async def main() -> None:
        async def block() -> None:
            stubborn = "trap '' TERM; echo up; while :; do sleep 0.1; done"
            async with supervised(Service("one", stubborn, grace=1000, ready=LogLine("up"))) as seen:
                watched.append(seen)
                await seen.reaches("one.1", State.READY)

        watched: list[Any] = []
        task = asyncio.create_task(block())
        while not watched:
            await asyncio.sleep(0.01)
        await watched[0].reaches("one.1", State.STOPPING)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert watched[0].supervisor.processes() == {}

    run(main())
