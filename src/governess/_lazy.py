"""Packages whose names are imported when they are used for the first time (PEP 562)."""

from collections.abc import Callable, Mapping
from importlib import import_module
from sys import modules

__all__ = ["lazy_names"]


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package.

    Args:
        package: its name.
        homes: its names by the module in the package that they come from; a module without names is a name itself.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def __getattr__(name: str) -> object:
        if name in home_of:
            value = getattr(import_module(f"{package}.{home_of[name]}"), name)
            setattr(modules[package], name, value)
            return value
        if name in homes:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*vars(modules[package]), *home_of, *(name for name in homes if name[0] != "_")})

    return __getattr__, __dir__
