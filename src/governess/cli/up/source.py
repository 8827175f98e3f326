"""Which file is used, and the services that are made of it and of the options."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from governess.cli.up.config import ConfigError, explain, read_toml
from governess.cli.up.procfile import base_port, read_env, read_procfile
from governess.services import Service, ServiceError
from governess.services._order import check_services

__all__ = ["Source", "find_file", "parse_formation"]

_NAMES = ("governess.toml", "Procfile")


def find_file(given: str | None) -> Path:
    """Return the path of the file with the services: the given one, governess.toml, or Procfile.

    Raises:
        ConfigError: there is none.
    """
    names = _NAMES if given is None else (given,)
    for name in names:
        if Path(name).is_file():
            return Path(name)
    if given is not None:
        raise ConfigError(f"{given}: there is no such file")
    raise ConfigError("there is neither a governess.toml nor a Procfile here; -f FILE names another file")


def parse_formation(text: str) -> dict[str, int]:
    """Return the numbers of copies that are written as `web=2,worker=1`; `all` stands for every service.

    Raises:
        ConfigError: it is written otherwise.
    """
    formation = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        if not equals or not (number.isascii() and number.isdecimal()):
            raise ConfigError(f"-m {text}: {part.strip()!r} is not like web=2")
        formation[name] = int(number)
    return formation


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and the options that change what is in it.

    Attributes:
        path: the file.
        names: the services that are wanted, or patterns of their names; none for all.
        env_files: the files with variables; None for a .env beside the file, if there is one.
        formation: numbers of copies by the names of services.
        port: the first port; None for what the environment says.
    """

    path: Path
    names: Sequence[str] = ()
    env_files: Sequence[Path] | None = None
    formation: Mapping[str, int] | None = None
    port: int | None = None

    @property
    def is_toml(self) -> bool:
        """Whether the file is no Procfile."""
        return self.path.suffix == ".toml"

    def load(self) -> list[Service]:
        """Return the services.

        Raises:
            ConfigError: the file cannot be used, or an option does not fit it.
        """
        folder = str(self.path.resolve().parent)
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path}: {getattr(error, 'strerror', None) or error}") from None
        own_env = [Path(folder, ".env")]
        env = read_env(self.env_files or own_env, must_exist=self.env_files is not None)
        if self.is_toml:
            if self.port is not None:
                raise ConfigError(f"-p {self.port}: it is for a Procfile; in {self.path} a service has port = 8000")
            services = read_toml(self.path, text, folder, env)
        else:
            services = read_procfile(self.path, text, folder, env, base_port(self.port, env))
        return self._chosen(self._formed(services))

    def explain(self, error: ServiceError) -> ConfigError:
        """Return what tells where in the file that stands for which a service cannot be run."""
        try:
            text = self.path.read_text(encoding="utf-8") if self.is_toml else ""
        except (OSError, UnicodeDecodeError):
            text = ""
        return explain(self.path, text, error)

    def _formed(self, services: list[Service]) -> list[Service]:
        formation = dict(self.formation or {})
        everywhere = formation.pop("all", None)
        known = {service.name for service in services}
        if unknown := formation.keys() - known:
            raise ConfigError(f"-m: there is no service {min(unknown)!r} in {self.path}; there are {', '.join(known)}")
        formed = []
        for service in services:
            copies = formation.get(service.name, everywhere)
            try:
                formed.append(service if copies is None else replace(service, copies=copies))
            except ServiceError as error:
                raise ConfigError(f"-m: {error}") from None
        return formed

    def _chosen(self, services: list[Service]) -> list[Service]:
        """Return the wanted services, and those that they come after."""
        try:
            named = check_services(services)
        except ServiceError as error:
            raise self.explain(error) from None
        if not self.names:
            return services
        wanted: list[str] = []
        for name in self.names:
            found = [service for service in named if fnmatch.fnmatchcase(service, name)]
            if not found:
                raise ConfigError(f"there is no service {name!r} in {self.path}; there are {', '.join(named)}")
            wanted += found
        for name in wanted:
            wanted += [other for other in named[name].after if other not in wanted]
        return [service for service in services if service.name in wanted]
