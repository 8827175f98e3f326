"""The services that a governess.toml describes; every error names the line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from governess._programs.toml_keys import line_of, similar, syntax_error
from governess.cli.up.config_values import JOB_KEYS, SERVICE_KEYS, TAKES, WrongValue
from governess.jobs._file_values import FIELDS, OPTIONS
from governess.services import Service, ServiceError

__all__ = ["ConfigError", "explain", "read_toml"]


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


def explain(path: Path, text: str, error: ServiceError) -> ConfigError:
    """Return what names the line of a governess.toml that a service cannot be run for.

    Args:
        path: where the file is.
        text: what is in it.
        error: why a service cannot be run.
    """
    return _Reader(path, text, "", {}).explained(error)


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
            line, reason = syntax_error(self._text, error)
            raise ConfigError(f"{self._path}:{line}: {reason}") from None
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
        keys = JOB_KEYS if kind == "jobs" else SERVICE_KEYS
        self._check_keys(table, keys, (kind, name))
        if "run" not in table:
            raise self._error((kind, name), 'it has no run, such as run = "./server --port 8000"')
        options: dict[str, Any] = {"cwd": self._folder, "env": dict(self._env), "job": kind == "jobs"}
        for key, value in table.items():
            try:
                options.update(keys[key](value))
            except ValueError as error:
                hint = "" if isinstance(error, WrongValue) else f"; it takes {TAKES[key]}"
                raise self._error((kind, name, key), f"{error}{hint}") from None
        options["env"] = {**self._env, **options["env"]}
        if options["cwd"] != self._folder:
            options["cwd"] = str(Path(self._folder, options["cwd"]))
        try:
            return Service(name, **options)
        except ServiceError as error:
            raise self._of_service(kind, error) from None

    def explained(self, error: ServiceError) -> ConfigError:
        """Return the error that names the line of what is wrong with a service."""
        for kind in ("services", "jobs"):
            if error.service and line_of(self._text, (kind, error.service), None):
                return self._of_service(kind, error)
        return ConfigError(f"{self._path}: {error}")

    def _of_service(self, kind: str, error: ServiceError) -> ConfigError:
        name, key = error.service, error.key
        key = {"command": "run", "limit": "limit" if kind == "services" else "tries"}.get(key, key)
        text = str(error).removeprefix(f"service {name}, {error.key}: ")
        return self._error((kind, name, key) if key else (kind, name), text)

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
