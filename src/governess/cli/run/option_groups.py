"""Options of a click command that are kept together."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

__all__ = ["Function", "add_options", "names_of"]

Function = TypeVar("Function", bound=Callable[..., Any])
Options = Iterable[Callable[[Any], Any]]


def add_options(options: Options, function: Function) -> Function:
    """Add options to a click command; its function gets them by name."""
    for option in reversed(list(options)):
        function = option(function)
    return function


def names_of(options: Options) -> frozenset[str]:
    """Return the names of the parameters that options make."""

    def function() -> None: ...

    parameters: list[click.Parameter] = add_options(options, function).__click_params__  # type: ignore[attr-defined]
    return frozenset(str(parameter.name) for parameter in parameters)
