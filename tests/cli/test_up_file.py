"""What a governess.toml, a Procfile and a .env file describe, read without running it."""

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("services need POSIX", allow_module_level=True)

from governess.cli.up.config import ConfigError, read_toml
from governess.cli.up.procfile import base_port, read_env, read_procfile
from governess.services import Exec, Fd, Health, Http, Log, LogLine, Notify, Tcp


def service(lines: str, kind: str = "services") -> Any:
    (found,) = read_toml(Path("governess.toml"), f"[{kind}.a]\nrun = 'x'\n{lines}\n", "/folder", {"A": "1"})
    return found


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("cwd = 'sub'", "cwd", "/folder/sub"),
        ("env = {B = 2, C = 'c'}", "env", {"A": "1", "B": "2", "C": "c"}),
        ("stop = 'INT'", "stop", signal.SIGINT),
        ("stop = 'sigusr1'", "stop", signal.SIGUSR1),
        ("grace = 2", "grace", 2.0),
        ("grace = '1m'", "grace", 60.0),
        ("log = 'a.log'", "log", Log("a.log")),
        ("log = {file = 'a.log', size = '1K', keep = 2}", "log", Log("a.log", 1024, 2)),
        ("ready = 'notify'", "ready", Notify()),
        ("ready = 'fd'", "ready", Fd()),
        ("ready = {notify = true}", "ready", Notify()),
        ("ready = {fd = 4}", "ready", Fd(4)),
        ("ready = {tcp = 80}", "ready", Tcp(80)),
        ("ready = {tcp = '[::1]:80'}", "ready", Tcp(80, "::1")),
        ("ready = {tcp = ':80'}", "ready", Tcp(80)),
        ("ready = {http = 'http://127.0.0.1:1/x'}", "ready", Http("http://127.0.0.1:1/x")),
        ("ready = {exec = ['true', 'x']}", "ready", Exec(("true", "x"))),
        ("ready = {log = 'up'}", "ready", LogLine("up")),
        ("ready = {log = 'up', timeout = '3s'}", "ready_timeout", 3.0),
        ("health = {tcp = 80, every = 2, timeout = '1s', fails = 4}", "health", Health(Tcp(80), 2.0, 4, 1.0)),
        ("listen = '127.0.0.1:0'", "listen", ("127.0.0.1:0",)),
        ("watch = ['*.py']", "watch", ("*.py",)),
        ("restart = 'never'", "restart", "never"),
        ("essential = true", "essential", True),
        ("copies = 3", "copies", 3),
        ("port = 8000", "port", 8000),
        ("limit = 7", "limit", 7),
    ],
)
def test_value(line: str, attribute: str, value: object) -> None:
    """Each key of a service becomes an option of `Service`."""
    assert getattr(service(line), attribute) == value


def test_command() -> None:
    """A command is a line for the shell, or a list of words."""
    text = "[services.a]\nrun = 'x $Y'\n[services.b]\nrun = ['x', 'y z']\n"
    assert [each.command for each in read_toml(Path("governess.toml"), text, "", {})] == ["x $Y", ("x", "y z")]


def test_job() -> None:
    """A job has tries, which are the limit of its deaths."""
    assert (service("tries = 2", "jobs").limit, service("tries = 2", "jobs").job) == (2, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cwd = 1", "cwd: 1 is not a string; it takes a folder"),
        ("essential = 1", "essential: 1 is not true or false; it takes true or false"),
        ("env = 'A=1'", "env: 'A=1' is no table of strings; it takes strings"),
        ("env = {A = [1]}", "is no table of strings"),
        ("after = [1]", "after: [1] is no list of strings; it takes names of services and jobs"),
        ("stop = 9", "stop: 9 is no signal"),
        ("grace = true", "grace: True is no duration; it takes seconds"),
        ("grace = 'soon'", "grace: "),
        ("log = 3", "log: 3 names no file"),
        ("log = {file = 'a', sice = 1}", "log: sice is not known"),
        ("log = {file = 'a', size = 0}", "a log file has at least one byte, not 0"),
        ("log = {file = 'a', keep = -1}", "0 or more log files are kept, not -1"),
        ("log = ''", "a log needs the name of a file"),
        ("ready = 'soon'", "ready: 'soon' is no check of readiness, such as {tcp = 8000}"),
        ("ready = {}", "ready: nothing is given"),
        ("ready = {tcp = 1, fd = 3}", "ready: tcp, fd is given"),
        ("ready = {tcp = 'here'}", "'here' is no address such as 127.0.0.1:8000"),
        ("ready = {tcp = '/run/x'}", "'/run/x' is no address such as 127.0.0.1:5432"),
        ("ready = {tcp = 70000}", "70000 is no port from 1 to 65535"),
        ("ready = {http = 'ftp://x'}", "'ftp://x' is neither an http:// URL nor a path such as /health"),
        ("ready = {log = '('}", "'(' is no regular expression: "),
        ("ready = {fd = 2}", "2 is no descriptor from 3 to 99"),
        ("ready = {exec = []}", "there is no command to be asked"),
        ("ready = {exec = 3}", "3 is no command"),
        ("health = 'x'", "health: 'x' is no table"),
        ("health = {log = 'x'}", "log 'x' cannot be repeated: health is tcp, http or exec"),
        ("health = {notify = true}", "notify cannot be repeated"),
        ("health = {fd = 3}", "fd 3 cannot be repeated"),
        ("health = {tcp = 80, every = 0}", "every and timeout are more than 0 seconds, not 0.0 and 5.0"),
        ("health = {tcp = 80, fails = 0}", "fails is a number above 0, not 0"),
        ("listen = 'here'", "'here' is no address such as 127.0.0.1:8000 or /run/web.sock"),
    ],
)
def test_wrong_value(line: str, message: str) -> None:
    """A wrong value is told with the line, the key, the value, and what the key takes."""
    with pytest.raises(ConfigError) as caught:
        service(line)
    assert str(caught.value).startswith("governess.toml:3: services.a.")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services = 3\n", "governess.toml:1: services: it is a table of tables: [services.NAME]"),
        ("[services]\na = 3\n", "governess.toml:2: services.a: it is a table: [services.a]"),
    ],
)
def test_wrong_table(text: str, message: str) -> None:
    """What is no table is told, with what it should be."""
    with pytest.raises(ConfigError) as caught:
        read_toml(Path("governess.toml"), text, "/folder", {})
    assert str(caught.value) == message


def test_procfile() -> None:
    """Each line is a service, with ports 100 apart; other lines mean nothing."""
    web, worker = read_procfile(Path("Procfile"), "web: ./web\n# no\nworker: ./work -x\n", "/folder", {"A": "1"}, 5000)
    assert [(each.name, each.command, each.port) for each in (web, worker)] == [
        ("web", "./web", 5000),
        ("worker", "./work -x", 5100),
    ]


@pytest.mark.parametrize(
    ("text", "port", "message"),
    [
        ("", 5000, "Procfile: there is no service in it; a line for one is NAME: COMMAND"),
        ("a: x\na: y\n", 5000, "Procfile:2: there is a service a already"),
        ("a: x\nb: y\n", 65500, "Procfile:2: "),
    ],
)
def test_wrong_procfile(text: str, port: int, message: str) -> None:
    """A wrong Procfile is told, with its line."""
    with pytest.raises(ConfigError) as caught:
        read_procfile(Path("Procfile"), text, "/folder", {}, port)
    assert str(caught.value).startswith(message)


def test_base_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first port is the given one, or that of the .env file, or PORT, or 5000."""
    monkeypatch.setenv("PORT", "7000")
    assert [base_port(1, {"PORT": "2"}), base_port(None, {"PORT": "2"}), base_port(None, {})] == [1, 2, 7000]
    monkeypatch.delenv("PORT")
    assert base_port(None, {}) == 5000
    with pytest.raises(ConfigError, match="PORT is 'x', which is no port from 1 to 65535"):
        base_port(None, {"PORT": "x"})


def test_env(tmp_path: Path) -> None:
    """A later file wins; a file that is missing or unreadable is told, if it was asked for."""
    one, two, binary = tmp_path / "one", tmp_path / "two", tmp_path / "binary"
    one.write_text("A=1\nB=${A}\n")
    two.write_text("A=2\n")
    binary.write_bytes(b"A=\xff")
    assert read_env([one, two], must_exist=True) == {"A": "2", "B": "${A}"}
    assert read_env([tmp_path / "none"], must_exist=False) == {}
    with pytest.raises(ConfigError, match="none: there is no such file"):
        read_env([tmp_path / "none"], must_exist=True)
    with pytest.raises(ConfigError, match="binary: "):
        read_env([binary], must_exist=True)
    with pytest.raises(ConfigError, match="Is a directory"):
        read_env([tmp_path], must_exist=True)
