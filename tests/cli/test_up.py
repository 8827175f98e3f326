"""`governess up` and the commands that talk to it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("services need signals and process groups of POSIX", allow_module_level=True)

from supervision import free_port

from .uptime import Up, is_alive, wait_until

DUMP = """
import json, os, sys
names = ("PORT", "A", "B", "C", "D", "E", "F")
print(json.dumps([sys.argv[1], os.getcwd(), {name: os.environ.get(name) for name in names}]), flush=True)
"""
ENV = """\
# a comment
A=plain
B="two words"
C='single quotes'
D="a line\\nand another"

E = spaces
F=path/to.file:80@host
"""


def test_like_honcho(up: Up) -> None:
    """One Procfile and .env under honcho and under us: the same ports, environment, names and status."""
    if find_spec("honcho") is None:
        pytest.skip("honcho is not installed")
    up.write("dump.py", DUMP)
    up.write(".env", ENV)
    dump = f"{sys.executable} dump.py"
    up.write(
        "Procfile",
        f"# not a service\nweb: {dump} web; exec sleep 1000\n\nthe-worker: {dump} worker; exec sleep 1000\n"
        f"last_one:   {dump} last; while ! test -e go; do sleep 0.05; done; exit 3\nno service\n",
    )
    results = []
    for words in (["-m", "honcho", "start", "-c", "web=2"], ["-m", "governess", "up", "-m", "web=2"]):
        (up.folder / "go").unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, *words], cwd=up.folder, env=up.env, stdout=subprocess.PIPE)
        assert process.stdout is not None
        lines: list[str] = []
        while len(found := sorted(line for line in lines if "[" in line)) < 4:
            line = process.stdout.readline()
            assert line, f"{words} has ended too soon"
            lines.append(line.decode().rstrip().removeprefix(time.strftime("%H:")))
        (up.folder / "go").touch()
        process.communicate(timeout=30)
        told = [re.fullmatch(r"(?:[\d:]+ )?(\S+) +\| (\[.*\])", line) for line in found]
        results.append((process.returncode, sorted((each[1], json.loads(each[2])) for each in told if each)))
    assert results[0] == results[1]
    assert len(results[1][1]) == 4


def test_what_is_seen(up: Up) -> None:
    """Names stand aligned in front of the lines, and each change of a state is a line with its reason."""
    port = free_port()
    up.write(
        "governess.toml",
        f"""
        [services.database]
        run = "sleep 0.3; exec {sys.executable} -m http.server {port} --bind 127.0.0.1"
        ready = {{tcp = {port}}}
        [jobs.migrate]
        run = "echo migrating"
        after = ["database"]
        [services.web]
        run = ["sh", "-c", "echo to stdout; echo to stderr >&2; exec sleep 1000"]
        after = ["migrate"]
        """,
    )
    up.start()
    up.expect("web.1 runs as process ")
    up.expect("web.1      | to stderr")
    assert up.end(signal.SIGINT) == 130
    text = up.text()
    for line in (
        f"system     | migrate.1 waits for database: tcp {port}",
        "system     | web.1 waits for migrate: waiting",
        "migrate.1  | migrating",
        "system     | migrate.1 has ended with status 0",
        "web.1      | to stdout",
        "system     | SIGINT: ending all; once more to kill them at once",
        "system     | web.1 is stopped: was ended by SIGTERM",
    ):
        assert line in text
    assert re.search(rf"system     \| database.1 is ready: tcp {port}, \d\.\d+ s after its start", text)
    assert text.index("web.1 is stopped") < text.index("database.1 is being stopped")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals(up: Up, number: signal.Signals, status: int) -> None:
    """TERM ends all with 0, Ctrl-C with 130; the second one kills what does not end."""
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    up.write("Procfile", f"one: {stubborn}\n")
    process = up.start()
    up.expect("one.1  | ready")
    process.send_signal(number)
    up.expect("one.1 is being stopped")
    process.send_signal(number)
    assert up.wait() == status
    assert "one.1 is stopped: was ended by SIGKILL" in up.text()


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("kill -9 $$", 137), ("exit 0", 0)])
def test_one_ends_all(up: Up, command: str, status: int) -> None:
    """When a service of a Procfile ends, all end, with its status."""
    up.write("Procfile", f"one: exec sleep 1000\ntwo: sleep 0.2; {command}\n")
    up.start()
    assert up.wait() == status


def test_kill_and_up_again(up: Up) -> None:
    """After kill -9 of `up`, the next one ends what is left and then has one copy of each; nobody else is touched."""
    up.write(
        "governess.toml",
        """
        [services.stubborn]
        run = "trap '' TERM; setsid sh stubborn & while :; do sleep 1; done"
        [services.bare]
        run = "exec env -i sh stubborn"
        """,
    )
    up.write("stubborn", "trap '' TERM; echo $$ >> pids; while :; do sleep 1; done")
    pids = up.folder / "pids"

    def known(count: int) -> list[int]:
        return wait_until(
            lambda: pids.exists() and len(found := pids.read_text().split()) >= count and [*map(int, found)]
        )

    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    process = up.start()
    first = {*known(2), *(status["pid"] for status in up.ps().values())}
    process.kill()
    process.wait()
    up.start()
    everybody = known(4)
    up.expect("ending ")
    up.expect("runs as process", 2)
    assert not any(map(is_alive, first))
    assert [is_alive(pid) for pid in everybody].count(True) == 2
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    assert "socket" not in up.text()
    up.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    up.expect("is being stopped", 2)
    assert up.end() == 0
    assert not any(map(is_alive, everybody))


def test_up_already(up: Up) -> None:
    """A second `up` of the same file is refused, with the process that has it and what to type."""
    up.write("Procfile", "one: exec sleep 1000\n")
    process = up.start()
    up.expect("one.1 runs")
    done = up.run("up")
    assert done.returncode == 2
    assert f"Procfile is already up, by process {process.pid}: `governess ps` shows it" in done.stderr
    assert up.states() == {"one.1": "ready"}


def test_commands(up: Up) -> None:
    """Each command does what it says, and tells how the services are then."""
    up.write(
        "governess.toml",
        """
        [services.web]
        run = "trap 'echo got usr1' USR1; echo started; while :; do sleep 0.05; done"
        ready = {log = "started"}
        copies = 2
        [services.other]
        run = "exec sleep 1000"
        """,
    )
    up.start()
    up.expect("web.2 is ready")
    up.expect("web.1 is ready")
    before = up.ps()
    assert re.search(r"^web\.1 +stopped +- ", up.run("stop", "web.1").stdout, re.MULTILINE)
    assert up.states() == {"web.1": "stopped", "web.2": "ready", "other.1": "ready"}
    up.run("start", "web")
    up.expect("web.1 is ready", 2)
    up.run("restart", "oth*")
    up.expect("other.1 runs", 2)
    up.run("scale", "web=3")
    up.expect("web.3 is ready")
    assert up.run("signal", "USR1", "web.2").stdout == "web.2 has got it\n"
    up.expect("web.2   | got usr1")
    logs = up.run("logs", "web.2", "-n", "1").stdout
    assert logs == "web.2  | got usr1\n"
    after = up.ps()
    assert before["web.2"]["pid"] == after["web.2"]["pid"]
    assert before["other.1"]["pid"] != after["other.1"]["pid"]
    assert up.run("down").returncode == 0
    assert up.wait() == 0
    done = up.run("ps")
    assert done.returncode == 2
    assert "`governess up` does not run here: start it" in done.stderr


def test_follow_the_logs(up: Up) -> None:
    """`logs --follow` goes on with what is written, until the services end."""
    up.write("governess.toml", '[services.one]\nrun = "i=0; while :; do echo $((i=i+1)); sleep 0.02; done"\n')
    up.start()
    up.expect("| 3")
    argv = [sys.executable, "-m", "governess", "logs", "--follow"]
    with subprocess.Popen(argv, cwd=up.folder, env=up.env, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        numbers = [int(follower.stdout.readline().rpartition("|")[2]) for _ in range(50)]
        assert numbers == [*range(numbers[0], numbers[0] + 50)]
        assert up.end() == 0
        follower.communicate(timeout=30)


TEN = "".join(
    f'[services.s{n}]\nrun = "exec sleep 1000"\nlog = {{file = "s{n}.log", size = "1M"}}\n' for n in range(10)
)


def test_reload(up: Up) -> None:
    """Of ten services one changes, one is scaled, one logs otherwise: one pid changes, two are new, no other."""
    up.write("governess.toml", TEN)
    up.start()
    up.expect("runs as process", 10)
    before = up.ps()
    changed = (
        TEN.replace('[services.s1]\nrun = "exec sleep 1000"', '[services.s1]\nrun = "exec sleep 2000"')
        .replace("[services.s2]\n", "[services.s2]\ncopies = 3\n")
        .replace('file = "s3.log", size = "1M"', 'file = "s3.log", size = "2M"')
    )
    up.write("governess.toml", changed)
    expected = "s1: restarts: command\ns2: 1 copies become 3\ns3: is changed while it runs: log\n"
    assert up.run("reload", "--dry-run").stdout == expected
    assert {name: each["pid"] for name, each in up.ps().items()} == {name: each["pid"] for name, each in before.items()}
    assert up.run("reload").stdout == expected
    up.expect("s1.1 runs", 2)
    up.expect("s2.3 runs")
    after = up.ps()
    assert {name for name in before if before[name]["pid"] != after[name]["pid"]} == {"s1.1"}
    assert after.keys() - before.keys() == {"s2.2", "s2.3"}

    up.write("governess.toml", changed.replace("copies = 3", "copis = 3"))
    done = up.run("reload")
    assert done.returncode == 2
    assert re.search(
        r"governess\.toml:\d+: services\.s2\.copis: there is no such key \(did you mean 'copies'\?\)", done.stderr
    )
    assert up.process is not None
    up.process.send_signal(signal.SIGHUP)
    up.expect("nothing is changed: governess.toml:")
    assert {name: each["pid"] for name, each in up.ps().items()} == {name: each["pid"] for name, each in after.items()}
    up.write("governess.toml", "".join(changed.partition("[services.s9]")[:1]))
    up.process.send_signal(signal.SIGHUP)
    up.expect("s9: is removed")
    assert "s9.1" not in up.ps()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[services.web]\nrun = 'x'\nprot = 80\n",
            "governess.toml:3: services.web.prot: there is no such key (did you mean 'port'?)",
        ),
        (
            "[services.web]\nrun = 'x'\n\ncopies = 'two'\n",
            "governess.toml:4: services.web.copies: 'two' is not a whole number; it takes a number: copies = 2",
        ),
        (
            "[services.web]\nrun = 'x'\nready = {tpc = 80}\n",
            "governess.toml:3: services.web.ready: tpc = 80 is not known; it takes ",
        ),
        (
            "[services.web]\nrun = 'x'\nafter = ['db']\n",
            "governess.toml:3: services.web.after: there is no service or job 'db'",
        ),
        (
            "[services.web]\nrun = 'x'\n[jobs.db]\nrun = 'x'\nafter = ['web', 'db']\n",
            "governess.toml:5: jobs.db.after: these services wait for each other: db after db",
        ),
        ("[services.web]\nrun = ./x\n", "governess.toml:2: invalid value; a text stands in quotes: run = ./x"),
        (
            "[services.web]\nrun = 'x'\nwatch = ['nowhere/*']\n",
            "governess.toml:3: services.web.watch: there is no folder ",
        ),
        (
            "[services.web]\nrun = 'x'\nlisten = ['192.0.2.1:80']\n",
            "governess.toml:3: services.web.listen: 192.0.2.1:80: Cannot assign requested address\n",
        ),
        (
            "[services.web]\ncopies = 2\n",
            'governess.toml:1: services.web: it has no run, such as run = "./server --port 8000"',
        ),
        ("[services.web\n", "governess.toml:1: "),
        ("[service.web]\nrun = 'x'\n", "governess.toml:1: service: there is no such key (did you mean 'services'?)"),
        (
            "[services.web]\nrun = 'x'\nrestart = 'maybe'\n",
            "governess.toml:3: services.web.restart: 'maybe' is none of always, on-failure, never",
        ),
        (
            "[services.web]\nrun = 'x'\nstop = 'HALT'\n",
            "governess.toml:3: services.web.stop: 'HALT' is no signal; it takes the name of a signal: stop = \"INT\"",
        ),
        (
            "[jobs.a]\nrun = 'x'\neach = ['1']\n",
            "governess.toml:3: jobs.a.each: it is for `governess run`; here a job has run",
        ),
        ("", "governess.toml: there is no service in it; one begins with [services.NAME]"),
    ],
)
def test_broken_files(up: Up, text: str, message: str) -> None:
    """A wrong file is told with its line, its key, and what would be right; the status is 2."""
    up.write("governess.toml", text)
    done = up.run("up")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_line_of_env_that_is_no_variable(up: Up) -> None:
    """It is left out, which is told with the file and the line."""
    up.write(".env", "A=1\nnot a variable\n")
    up.write("Procfile", "web: sleep 1\n")
    done = up.run("up", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "web.1 | PORT=5000 sleep 1\n")
    assert done.stderr.endswith(".env:2: this is left out, since it is not like NAME=VALUE: not a variable\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "there is neither a governess.toml nor a Procfile here; -f FILE names another file"),
        (("-f", "none"), "none: there is no such file"),
        (("-f", "My", "wbe"), "there is no service 'wbe' in My; there are web, worker"),
        (("-f", "My", "-m", "web"), "-m web: 'web' is not like web=2"),
        (("-f", "My", "-m", "wbe=2"), "-m: there is no service 'wbe' in My"),
        (("-f", "My", "-e", "no.env"), "no.env: there is no such file"),
    ],
)
def test_wrong_calls(up: Up, words: tuple[str, ...], message: str) -> None:
    """A wrong call is told in one line, and the status is 2."""
    up.write("My", "web: sleep 1\nworker: sleep 1\n")
    done = up.run("up", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_one_file_for_both(up: Up) -> None:
    """`governess run` runs the jobs of a governess.toml, whose services are for `governess up`."""
    up.write("governess.toml", '[services.web]\nrun = "exec sleep 1000"\n[jobs.hello]\nrun = "echo hello"\n')
    done = up.run("run", "governess.toml")
    assert (done.returncode, done.stdout) == (0, "hello\n")


def test_dry_run(up: Up) -> None:
    """--dry-run shows what would be started, with its ports, and starts nothing."""
    up.write("Procfile", "web: ./server\nworker: ./worker 'a b'\nother: x\n")
    done = up.run("up", "--dry-run", "-m", "web=2", "-p", "7000", "web", "wor*")
    assert done.stdout == (
        "web.1    | PORT=7000 ./server\nweb.2    | PORT=7001 ./server\nworker.1 | PORT=7100 ./worker 'a b'\n"
    )


def test_nobody_reads(up: Up) -> None:
    """When nobody reads what it writes any more, it ends all, as other programs in a pipeline do."""
    up.write("governess.toml", '[services.one]\nrun = "while :; do echo x; sleep 0.01; done"\n')
    process = up.start(stdout=subprocess.PIPE)
    up.expect("| x")
    # The reading thread holds the pipe: another `up` has its output closed.
    up.end()
    read_end, write_end = os.pipe()
    process = up.start(stdout=write_end)
    os.close(write_end)
    os.close(read_end)
    assert process.wait(30) == 141


def test_private_files(up: Up) -> None:
    """The folder of the socket, and what is in it, is for its owner alone."""
    up.write("Procfile", "one: exec sleep 1000\n")
    up.start()
    up.expect("one.1 runs")
    folder = Path(up.env["XDG_RUNTIME_DIR"], "governess")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in folder.iterdir()} == {".sock", ".lock", ".json"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    assert up.end() == 0
    assert {path.suffix for path in folder.iterdir()} == {".lock"}
    folder.chmod(0o755)
    done = up.run("up")
    assert done.returncode == 2
    assert "is not a folder for you alone (0700)" in done.stderr


def test_a_list_that_is_out_of_date(up: Up) -> None:
    """A process whose number is in the list of a killed run, but which was started at another time, is left alone."""
    up.write("Procfile", "one: exec sleep 1000\n")
    process = up.start()
    up.expect("one.1 runs")
    process.kill()
    process.wait()
    (path,) = Path(up.env["XDG_RUNTIME_DIR"], "governess").glob("*.json")
    state = json.loads(path.read_text())
    stranger = subprocess.Popen(["sh", "-c", "sleep 1000; :"], start_new_session=True)
    try:
        state["processes"]["one.1"] = [stranger.pid, state["processes"]["one.1"][1]]
        path.write_text(json.dumps(state))
        up.start()
        up.expect("one.1 runs")
        assert stranger.poll() is None
        assert up.end() == 0
        assert stranger.poll() is None
    finally:
        os.killpg(stranger.pid, signal.SIGKILL)
        stranger.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot": 1}', '{"boot": "x", "processes": {"a": [1]}}'])
def test_a_list_that_is_broken(up: Up, text: str) -> None:
    """A list that cannot be read stops nothing."""
    up.write("Procfile", "one: sleep 0.1\n")
    assert up.run("up").returncode == 0
    (lock,) = Path(up.env["XDG_RUNTIME_DIR"], "governess").glob("*.lock")
    lock.with_suffix(".json").write_text(text)
    done = up.run("up")
    assert done.returncode == 0, done.stdout + done.stderr
