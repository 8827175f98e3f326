"""Files of jobs: TOML with a table for each job, or a JSON object a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from governess._programs.toml_keys import line_of, similar, syntax_error
from governess.jobs._file_values import FIELDS, OPTIONS, ValueProblem
from governess.jobs._job import Command, Job, JobOptions
from governess.jobs._plan import CIRCLE, Plan, PlanError
from governess.jobs._pools import parse_pool

__all__ = ["Fill", "JobFile", "JobFileError", "is_job_file", "read_jobs"]

_LARGEST = 256 * 2**20
_TABLES = ("jobs", "pools", "defaults", "services")  # the last are for `governess up`


class JobFileError(ValueError):
    """A file of jobs cannot be read; the text names the file, the line, and what is wrong there."""


class Fill(Protocol):
    """Puts an argument of `each` into the command, the folder or the output of a job."""

    def __call__(self, command: Command, argument: str, number: int, *, append: bool) -> Callable[[int], Command]:
        """Return what makes the command from the number of a slot.

        Args:
            command: the command with replacement strings.
            argument: what `{}` stands for.
            number: the number of the job.
            append: whether the argument is appended to a command without replacement strings.
        """
        ...


@dataclass(frozen=True, slots=True)
class JobFile:
    """What is in a file of jobs.

    Attributes:
        plan: its jobs.
        pools: the sizes of the pools.
    """

    plan: Plan
    pools: Mapping[str, float]


def is_job_file(path: str) -> bool:
    """Return whether a name is that of a file of jobs: `.toml`, `.jsonl` or `.ndjson`."""
    return path.lower().endswith((".toml", ".jsonl", ".ndjson"))


def read_jobs(path: str | Path, fill: Fill | None = None, options: JobOptions | None = None) -> JobFile:
    """Read a file of jobs.

    Args:
        path: the file, whose name ends with `.toml`, `.jsonl` or `.ndjson`.
        fill: puts the arguments of `each` into commands; None if no job may have any.
        options: how a job is run of which the file does not say it.

    Raises:
        JobFileError: it cannot be read, or something in it is wrong; the text names the line.
    """
    reader = _Reader(str(path), _read(path), fill, options or JobOptions())
    try:
        return reader.toml() if str(path).lower().endswith(".toml") else reader.json_lines()
    except PlanError as error:
        raise JobFileError(f"{path}: {error}") from None


def _read(path: str | Path) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise JobFileError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise JobFileError(f"{path} is larger than {_LARGEST >> 20} MiB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise JobFileError(f"{path}:{line}: it is not in UTF-8") from None


Finder = Callable[[str | None], int | None]
"""Returns the line of a key; None if it is not found."""


@dataclass(frozen=True, slots=True)
class _Group:
    """One table of jobs: one job, or one for each argument."""

    name: str
    jobs: Sequence[Job]
    line: Finder


class _Reader:
    def __init__(self, path: str, text: str, fill: Fill | None, options: JobOptions) -> None:
        self._path = path
        self._text = text
        self._fill = fill
        self._options = options
        self._count = 0

    def toml(self) -> JobFile:
        import tomllib

        try:
            tables = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            line, reason = syntax_error(self._text, error)
            raise JobFileError(f"{self._path}:{line}: {reason}") from None
        for name in tables:
            if name not in _TABLES:
                known = f"{similar(name, _TABLES)}; jobs are [jobs.NAME]"
                raise self._error(self._finder()(name), f"unknown table or key {name!r}{known}")
        for name in _TABLES:
            if not isinstance(tables.get(name, {}), dict):
                raise self._error(self._finder()(name), f"{name} is a table: [{name}]")
        pools = self._pools(tables.get("pools", {}))
        defaults, finder = tables.get("defaults", {}), self._finder("defaults")
        self._check(defaults, OPTIONS, "defaults", finder)
        self._options = self._job_options(defaults, self._options, "defaults", finder)
        groups = []
        for name, values in tables.get("jobs", {}).items():
            finder = self._finder("jobs", name)
            where = finder(None) or self._finder("jobs")(name)
            if not isinstance(values, dict):
                raise self._error(where, f"jobs.{name} is a table: [jobs.{name}]")
            groups.append(self._group(name, values, f"jobs.{name}", where, finder))
        return JobFile(self._plan(groups), pools)

    def json_lines(self) -> JobFile:
        import json

        groups = []
        for number, line in enumerate(self._text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                raise self._error(number, f"it is not JSON: {error.msg} at column {error.colno}") from None
            if not isinstance(values, dict):
                raise self._error(number, 'each line is an object: {"run": ["echo", "a"]}')
            name = values.pop("name", "")
            if not isinstance(name, str):
                raise self._error(number, f"a name is a string, not {name!r}")
            groups.append(self._group(name, values, name or "the job", number, partial(_always, number)))
        return JobFile(self._plan(groups), {})

    def _plan(self, groups: Sequence[_Group]) -> Plan:
        if not groups:
            raise JobFileError(f"{self._path} holds no jobs")
        members: dict[str, tuple[str, ...]] = {}
        for group in groups:
            if group.name in members:
                raise self._error(group.line("name"), f"two jobs are called {group.name!r}: a name stands for one job")
            if group.name:
                members[group.name] = tuple(job.name for job in group.jobs)
        known = {*members, *(name for names in members.values() for name in names)}
        for group in groups:
            for name in group.jobs[0].after if group.jobs else ():
                if name not in known:
                    who = group.name or "the job"
                    text = f"{who} waits for {name!r}, and no job is called so{similar(name, known)}"
                    raise self._error(group.line("after"), text)
        try:
            return Plan(list(_linked(groups, members)))
        except PlanError as error:
            if error.circle:
                raise self._circle(groups, error.circle) from None
            raise

    def _circle(self, groups: Sequence[_Group], names: Sequence[str]) -> JobFileError:
        """Return the error of jobs that wait for each other, with the lines where they say so."""
        lines = {job.name: group.line("after") for group in groups for job in group.jobs}
        members = [name if (line := lines.get(name)) is None else f"{name} (line {line})" for name in names[:-1]]
        return self._error(lines.get(names[0]), f"{CIRCLE}: {' → '.join([*members, names[-1]])}")

    def _pools(self, table: Mapping[str, Any]) -> dict[str, float]:
        pools: dict[str, float] = {}
        for name, size in table.items():
            try:
                key, value = parse_pool(f"{name}={size}")
            except ValueError as error:
                raise self._error(self._finder("pools")(name), str(error)) from None
            pools[key] = value
        return pools

    def _group(self, name: str, values: Mapping[str, Any], who: str, where: int | None, line: Finder) -> _Group:
        self._check(values, {**FIELDS, **OPTIONS}, who, line)
        if "run" not in values:
            raise self._error(where, f'{who} has no command: run = "…" for a line of the shell, or a list of words')
        options = self._job_options(values, self._options, who, line)
        fields = {key: self._value(FIELDS[key], values[key], who, line(key)) for key in FIELDS if key in values}
        command, each = fields.pop("run"), fields.pop("each", None)
        if each is None:
            self._count += 1
            return _Group(name, [Job(command, name, **fields, options=options)], line)
        if self._fill is None:
            raise self._error(line("each"), f"{who}: each cannot be used here")
        outputs = fields.pop("outputs", ())
        jobs = []
        for argument in each:
            self._count += 1
            try:
                jobs.append(
                    Job(
                        self._fill(command, argument, self._count, append=True),
                        f"{name}[{argument}]" if name else "",
                        **fields,
                        outputs=tuple(self._word(output, argument) for output in outputs),
                        options=options,
                    )
                )
            except ValueError as error:
                raise self._error(line("run"), f"{who}: {error}") from None
        return _Group(name, jobs, line)

    def _word(self, text: str, argument: str) -> str:
        assert self._fill is not None
        return self._fill((text,), argument, self._count, append=False)(0)[0]

    def _check(
        self,
        values: Mapping[str, Any],
        known: Mapping[str, Any],
        who: str,
        line: Finder,
    ) -> None:
        for key in values:
            if key not in known:
                raise self._error(line(key), f"{who}: unknown key {key!r}{similar(key, known)}")

    def _job_options(self, values: Mapping[str, Any], base: JobOptions, who: str, line: Finder) -> JobOptions:
        found: dict[str, Any] = {}
        for key, read in OPTIONS.items():
            if key in values:
                found |= self._value(read, values[key], f"{who}: {key}", line(key))
        if not found:
            return base
        merged = {name: getattr(base, name) for name in JobOptions.__dataclass_fields__}
        try:
            return JobOptions(**{**merged, **found})
        except ValueError as error:
            raise self._error(line(next(iter(found))), f"{who}: {error}") from None

    def _value(self, read: Callable[[Any], Any], value: Any, who: str, line: int | None) -> Any:
        try:
            return read(value)
        except ValueProblem as error:
            raise self._error(line, f"{who}: {error}") from None

    def _finder(self, *table: str) -> Finder:
        """Return what finds the line of a key of this table of TOML, or of its header for None."""
        return partial(line_of, self._text, table)

    def _error(self, line: int | None, text: str) -> JobFileError:
        return JobFileError(f"{self._path}:{line}: {text}" if line is not None else f"{self._path}: {text}")


def _always(line: int, key: str | None) -> int:
    return line


def _linked(groups: Sequence[_Group], members: Mapping[str, tuple[str, ...]]) -> Iterator[Job]:
    """Yield all jobs; what waits for a table with `each` waits for all of its jobs."""
    for group in groups:
        for job in group.jobs:
            after = tuple(name for each in job.after for name in members.get(each, (each,)))
            yield (
                job
                if after == job.after
                else Job(job.command, job.name, job.cwd, job.env, job.stdin, after, job.outputs, job.options)
            )
