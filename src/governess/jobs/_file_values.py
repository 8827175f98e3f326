"""The keys of a job in a file: how the value of each is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from governess._programs.backoff import Backoff
from governess._programs.units import parse_seconds, parse_size
from governess.jobs._pools import parse_token
from governess.jobs._retry import RetryOn

__all__ = ["FIELDS", "OPTIONS", "ValueProblem", "parse_timeout"]


class ValueProblem(ValueError):
    """A value is of the wrong kind; the text says which one there should be."""


def parse_timeout(text: str) -> tuple[float | None, float | None]:
    """Return seconds, or how many times the median duration; the other one is None.

    Raises:
        ValueError: it is neither a duration nor a percentage.
    """
    if text.endswith("%"):
        number = text.removesuffix("%")
        if not (number.isascii() and number.isdigit() and int(number) > 100):
            raise ValueError(f"{text!r} is no percentage of the median above 100%, such as 200%")
        return None, int(number) / 100
    seconds = parse_seconds(text)
    if seconds == 0:
        raise ValueError("a timeout of 0 seconds lets nothing run")
    return seconds, None


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueProblem(f"a string is needed, not {_kind(value)}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_text(value),)
    if not isinstance(value, list):
        raise ValueProblem(f"a list of strings is needed, not {_kind(value)}")
    return tuple(map(_text, value))


def _command(value: Any) -> Any:
    if isinstance(value, str) and value.strip():
        return _text(value)
    if not isinstance(value, list) or not value:
        raise ValueProblem(f"run is a line for the shell, or a list of words, not {_kind(value)}")
    return tuple(_scalar(word) for word in value)


def _scalar(value: Any) -> str:
    if type(value) in (int, float):
        return str(value)
    return _text(value)


def _each(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueProblem(f"each is a list of arguments, not {_kind(value)}")
    return tuple(map(_scalar, value))


def _variables(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueProblem(f'variables are a table: env = {{ NAME = "value" }}, not {_kind(value)}')
    if wrong := [name for name in value if not name or "=" in name or "\0" in name]:
        raise ValueProblem(f"{wrong[0]!r} is no name of a variable")
    return {name: _scalar(each) for name, each in value.items()}


def _path(value: Any) -> Path:
    return Path(_text(value))


def _number(value: Any) -> Any:
    if type(value) not in (int, float):
        raise ValueProblem(f"a number is needed, not {_kind(value)}")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueProblem(f"a whole number is needed, not {_kind(value)}")
    return value


def _seconds(value: Any) -> float:
    return float(value) if type(value) in (int, float) and value >= 0 else _parsed(parse_seconds, value)


def _timeout(value: Any) -> dict[str, Any]:
    seconds, factor = _parsed(parse_timeout, str(value) if type(value) in (int, float) else value)
    return {"timeout": seconds, "timeout_factor": factor}


def _backoff(value: Any) -> Any:
    return _parsed(Backoff.parse, str(value) if type(value) in (int, float) else value)


def _retry_on(value: Any) -> Any:
    return _parsed(RetryOn.parse, ",".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value))


def _size(value: Any) -> int:
    return _parsed(parse_size, str(value) if type(value) is int else value)  # type: ignore[no-any-return]


def _tokens(value: Any) -> dict[str, int]:
    if isinstance(value, dict):
        value = [f"{name}={count}" for name, count in value.items()]
    return dict(_parsed(parse_token, each) for each in _texts(value))


def _parsed(parse: Callable[[str], Any], value: Any) -> Any:
    try:
        return parse(_text(value))
    except ValueProblem:
        raise
    except ValueError as error:
        raise ValueProblem(str(error)) from None


def _kind(value: Any) -> str:
    kinds = {
        bool: "true or false",
        dict: "a table",
        list: "a list",
        int: "a number",
        float: "a number",
        str: "a string",
    }
    return f"{kinds.get(type(value), type(value).__name__)} ({value!r})" if value != "" else "an empty string"


def _as(name: str, read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {name: read(value)}


FIELDS: dict[str, Callable[[Any], Any]] = {
    "run": _command,
    "each": _each,
    "after": _texts,
    "outputs": _texts,
    "cwd": _text,
    "env": _variables,
    "stdin": _path,
}
"""Keys that tell what is run; each is an argument of `Job`, but for `run` and `each`."""

OPTIONS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "tries": _as("tries", _whole),
    "backoff": _as("backoff", _backoff),
    "retry_on": _as("retry_on", _retry_on),
    "timeout": _timeout,
    "grace": _as("grace", _seconds),
    "cpus": _as("cpus", _number),
    "memory": _as("memory", _size),
    "tokens": _as("tokens", _tokens),
    "nice": _as("nice", _whole),
}
"""Keys that tell how it is run; each gives arguments of `JobOptions`."""
