"""The keys of a service in a governess.toml: how the value of each is read, and what it should be."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from governess._programs.units import parse_seconds, parse_size
from governess.services import Exec, Fd, Health, Http, Log, LogLine, Notify, Ready, Tcp
from governess.services._sockets import parse_address

__all__ = ["JOB_KEYS", "SERVICE_KEYS", "TAKES", "WrongValue"]


class WrongValue(ValueError):
    """A value is not what its key takes."""


def _a(kind: type, name: str) -> Callable[[Any], dict[str, Any]]:
    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not kind:
            raise ValueError(f"{value!r} is not {_KINDS[kind]}")
        return {name: value}

    return convert


_KINDS: dict[type, str] = {str: "a string", int: "a whole number", bool: "true or false", dict: "a table"}


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        return parse_seconds(value)
    if type(value) not in (int, float):
        raise ValueError(f"{value!r} is no duration")
    return float(value)


def _command(value: Any) -> tuple[str, ...] | str:
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no command")
    return value


def _strings(name: str) -> Callable[[Any], dict[str, Any]]:
    def convert(value: Any) -> dict[str, Any]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise ValueError(f"{value!r} is no list of strings")
        return {name: tuple(values)}

    return convert


def _listen(value: Any) -> dict[str, Any]:
    options = _strings("listen")(value)
    for address in options["listen"]:
        parse_address(address)
    return options


def _env(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(type(each) in (str, int) for each in value.values()):
        raise ValueError(f"{value!r} is no table of strings")
    return {"env": {name: str(each) for name, each in value.items()}}


def _stop(value: Any) -> dict[str, Any]:
    name = value if isinstance(value, str) else ""
    number = getattr(signal, f"SIG{name.upper().removeprefix('SIG')}", None)
    if not isinstance(number, signal.Signals):
        raise ValueError(f"{value!r} is no signal")
    return {"stop": int(number)}


def _ready(value: Any) -> dict[str, Any]:
    if value == "notify":
        return {"ready": Notify()}
    if value == "fd":
        return {"ready": Fd()}
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no check of readiness, such as {{tcp = 8000}}")
    table = dict(value)
    options: dict[str, Any] = {}
    if "timeout" in table:
        options["ready_timeout"] = _seconds(table.pop("timeout"))
    return {"ready": _condition(table), **options}


def _condition(table: dict[str, Any]) -> Ready:
    if len(table) != 1:
        raise ValueError(f"{', '.join(table) or 'nothing'} is given")
    ((key, value),) = table.items()
    match key, value:
        case "tcp", int():
            return Tcp(value)
        case "tcp", str():
            address = parse_address(value)
            if isinstance(address, str):
                raise WrongValue(f"{value!r} is no address such as 127.0.0.1:5432")
            return Tcp(address[1], address[0] or "127.0.0.1")
        case "http", str():
            return Http(value)
        case "exec", _:
            return Exec(_command(value))
        case "log", str():
            return LogLine(value)
        case "notify", True:
            return Notify()
        case "fd", int():
            return Fd(value)
    raise ValueError(f"{key} = {value!r} is not known")


def _health(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no table")
    table = dict(value)
    options: dict[str, Any] = {key: _seconds(table.pop(key)) for key in ("every", "timeout") if key in table}
    if "fails" in table:
        options["fails"] = table.pop("fails")
    return {"health": Health(_condition(table), **options)}  # type: ignore[arg-type]  # it checks that


def _log(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"log": Log(value)}
    if not isinstance(value, dict) or not isinstance(value.get("file"), str):
        raise ValueError(f"{value!r} names no file")
    table = dict(value)
    if isinstance(table.get("size"), str):
        table["size"] = parse_size(table["size"])
    if unknown := table.keys() - {field.name for field in fields(Log)}:
        raise ValueError(f"{min(unknown)} is not known")
    return {"log": Log(**table)}


_Converters = Mapping[str, Callable[[Any], dict[str, Any]]]
_COMMON: _Converters = {
    "run": lambda value: {"command": _command(value)},
    "cwd": _a(str, "cwd"),
    "env": _env,
    "after": _strings("after"),
    "stop": _stop,
    "grace": lambda value: {"grace": _seconds(value)},
    "log": _log,
}
JOB_KEYS: _Converters = {**_COMMON, "tries": _a(int, "limit")}
"""The keys of a job, and what makes arguments of `Service` of their values."""
SERVICE_KEYS: _Converters = {
    **_COMMON,
    "ready": _ready,
    "health": _health,
    "copies": _a(int, "copies"),
    "port": _a(int, "port"),
    "restart": _a(str, "restart"),
    "limit": _a(int, "limit"),
    "essential": _a(bool, "essential"),
    "listen": _listen,
    "watch": _strings("watch"),
}
TAKES: Mapping[str, str] = {
    "run": 'a line for the shell, or a list of words: run = ["python", "app.py"]',
    "cwd": 'a folder: cwd = "app"',
    "env": 'strings: env = {DEBUG = "1"}',
    "after": 'names of services and jobs: after = ["db"]',
    "stop": 'the name of a signal: stop = "INT"',
    "grace": 'seconds: grace = "10s"',
    "log": 'a file, or log = {file = "web.log", size = "10M", keep = 5}',
    "tries": "a number: tries = 3",
    "ready": '"notify", "fd", or one of tcp, http, exec, log and fd: ready = {tcp = 5432}',
    "health": 'one of tcp, http and exec, with every, fails and timeout: health = {http = "/health", every = "10s"}',
    "copies": "a number: copies = 2",
    "port": "a number: port = 8000",
    "restart": '"always", "on-failure" or "never"',
    "limit": "a number: limit = 5",
    "essential": "true or false",
    "listen": 'addresses: listen = ["127.0.0.1:8000"]',
    "watch": 'patterns of files: watch = ["src/**/*.py"]',
}
