"""The words of `governess python`: a program, its arguments, and what is chosen for it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["Call", "Kind", "WrongCall"]


class Kind(Enum):
    """Where the code of the program is."""

    SCRIPT = "a file, or a folder or zip file with a __main__.py"
    MODULE = "-m"
    CODE = "-c"
    STDIN = "-"


class WrongCall(ValueError):
    """A usage error; its text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Call:
    """A program, its arguments, the loop and watcher chosen for it, and whether Python children inherit the bridge."""

    kind: Kind
    program: str
    """A path, the name of a module, or code; by `kind`."""
    args: list[str]
    loop: str = "asyncio"
    watcher: str = "auto"
    inherit: bool = False

    @classmethod
    def of(cls, words: Sequence[str]) -> "Call | None":
        """Parse the words; return None for `--help`. The words after the program are its arguments.

        Args:
            words: the arguments after `governess python`.

        Raises:
            WrongCall: the program is missing, or an option is unknown.
        """
        rest = list(words)
        options: dict[str, Any] = {"inherit": bool(os.environ.get("GOVERNESS_INHERIT"))}
        while rest and rest[0].startswith("-") and rest[0] != "-":
            word = rest.pop(0)
            if word in ("-h", "--help"):
                return None
            if word[:2] in ("-m", "-c"):
                kind = Kind(word[:2])
                return cls(kind, word[2:] or _value(kind.value, rest), rest, **options)
            if word == "--":
                break
            if word == "--inherit":
                options["inherit"] = True
                continue
            name, equals, value = word.partition("=")
            if name not in ("--loop", "--watcher"):
                raise WrongCall(f"there is no option {word}; {_ELSEWHERE}")
            options[name.removeprefix("--")] = value if equals else _value(name, rest)
        if not rest:
            raise WrongCall("no program: give a script, -m MODULE, -c CODE, or - for standard input")
        program = rest.pop(0)
        return cls(Kind.STDIN if program == "-" else Kind.SCRIPT, program, rest, **options)


_ELSEWHERE = "those of python itself go to python: python -X dev -m governess python ..."


def _value(option: str, rest: list[str]) -> str:
    if not rest:
        raise WrongCall(f"{option} needs a value")
    return rest.pop(0)
