"""What `governess python` is asked to run: its words, read as `python` reads its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

__all__ = ["Call", "Kind", "WrongCall"]


class Kind(Enum):
    """Where the program stands."""

    SCRIPT = "a file, or a folder or zip file with a __main__.py"
    MODULE = "-m"
    CODE = "-c"
    STDIN = "-"


class WrongCall(ValueError):
    """Words that mean nothing; its text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Call:
    """A program, its arguments, and the choices for its bridge."""

    kind: Kind
    program: str
    """A path, a module's name, or code."""
    args: list[str]
    loop: str = "asyncio"
    watcher: str = "auto"

    @classmethod
    def of(cls, words: Sequence[str]) -> "Call | None":
        """Read the words; what comes after the program is the program's. None stands for `--help`.

        Raises:
            WrongCall: there is no program, or an option that does not exist.
        """
        rest = list(words)
        options: dict[str, str] = {}
        while rest and rest[0].startswith("-") and rest[0] != "-":
            word = rest.pop(0)
            if word in ("-h", "--help"):
                return None
            if word[:2] in ("-m", "-c"):
                kind = Kind(word[:2])
                return cls(kind, word[2:] or _value(kind.value, rest), rest, **options)
            if word == "--":
                break
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
