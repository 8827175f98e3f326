"""The services that a governess.toml describes; every error names the line."""

from __future__ import annotations

import re
import signal
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from governess._programs.toml_keys import line_of, similar
from governess._programs.units import parse_seconds, parse_size
from governess.jobs._file_values import FIELDS, OPTIONS
from governess.services import Exec, Fd, Health, Http, Log, LogLine, Notify, Ready, Service, ServiceError, Tcp
from governess.services._sockets import parse_address

__all__ = ["ConfigError", "read_toml"]


class ConfigError(Exception):
    """A file cannot be used; the text names it, and the line."""


def read_toml(path: Path, text: str, folder: str, env: Mapping[str, str]) -> list[Service]:
    """Return the services and jobs of a governess.toml.

    Args:
        path: where it is, for messages.
        text: what is in it.
        folder: the working directory of services that have no other.
        env: variables for all services.

    Raises:
        ConfigError: it cannot be used.
    """
    return _Reader(path, text, folder, env).services()


class _WrongValue(ValueError):
    """A value is not what its key takes."""


class _Reader:
    def __init__(self, path: Path, text: str, folder: str, env: Mapping[str, str]) -> None:
        self._path = path
        self._text = text
        self._folder = folder
        self._env = env

    def services(self) -> list[Service]:
        try:
            document = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error))
            line = int(found[2]) if found and found[2] else self._text.count("\n") + 1
            raise ConfigError(f"{self._path}:{line}: {found[1] if found else error}") from None
        self._check_keys(document, ("services", "jobs", "defaults", "pools"), ())
        services = []
        for kind in ("services", "jobs"):
            tables = document.get(kind, {})
            if not isinstance(tables, dict):
                raise self._error((kind,), f"it is a table of tables: [{kind}.NAME]")
            services += [self._service(kind, name, table) for name, table in tables.items()]
        if not services:
            raise ConfigError(f"{self._path}: there is no service in it; one begins with [services.NAME]")
        return services

    def _service(self, kind: str, name: str, table: Any) -> Service:
        if not isinstance(table, dict):
            raise self._error((kind, name), f"it is a table: [{kind}.{name}]")
        keys = _JOB_KEYS if kind == "jobs" else _SERVICE_KEYS
        self._check_keys(table, keys, (kind, name))
        if "run" not in table:
            raise self._error((kind, name), 'it has no run, such as run = "./server --port 8000"')
        options: dict[str, Any] = {"cwd": self._folder, "env": dict(self._env), "job": kind == "jobs"}
        for key, value in table.items():
            try:
                options.update(keys[key](value))
            except ValueError as error:
                hint = "" if isinstance(error, _WrongValue) else f"; it takes {_TAKES[key]}"
                raise self._error((kind, name, key), f"{error}{hint}") from None
        options["env"] = {**self._env, **options["env"]}
        if options["cwd"] != self._folder:
            options["cwd"] = str(Path(self._folder, options["cwd"]))
        try:
            return Service(name, **options)
        except ServiceError as error:
            key = {"command": "run", "limit": "limit" if kind == "services" else "tries"}.get(error.key, error.key)
            text = str(error).removeprefix(f"service {name}, {error.key}: ")
            raise self._error((kind, name, key) if key else (kind, name), text) from None

    def _check_keys(self, table: Mapping[str, Any], known: Any, path: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                if path[:1] == ("jobs",) and (key in FIELDS or key in OPTIONS):
                    raise self._error((*path, key), f"it is for `governess run`; here a job has {', '.join(known)}")
                hint = similar(key, known) or f"; there are {', '.join(known)}"
                raise self._error((*path, key), f"there is no such key{hint}")

    def _error(self, path: tuple[str, ...], text: str) -> ConfigError:
        line = line_of(self._text, path[:-1], path[-1]) or line_of(self._text, path, None)
        where = f"{self._path}:{line}" if line else f"{self._path}"
        return ConfigError(f"{where}: {'.'.join(path)}: {text}")


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
        raise ValueError(f"{value!r} tells nothing that can be waited for")
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
                raise _WrongValue(f"{value!r} is no address such as 127.0.0.1:5432")
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
_JOB_KEYS: _Converters = {**_COMMON, "tries": _a(int, "limit")}
_SERVICE_KEYS: _Converters = {
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
_TAKES = {
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
