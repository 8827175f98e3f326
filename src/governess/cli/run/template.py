"""GNU parallel's replacement strings: `{}`, `{.}`, `{/}`, `{//}`, `{/.}`, `{#}`, `{%}` and `{1}`, `{2/.}`, `{-1}`.

Nothing here does I/O, and nothing here knows a shell: a template is a command's words, and filling it gives an argv.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Template", "TemplateError"]


class TemplateError(ValueError):
    """A replacement string that cannot be filled; its text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Template:
    """A command's words, with the replacement strings found in them."""

    words: tuple["str | tuple[str | Placeholder, ...]", ...]
    """Each word: a plain string, or its pieces where it holds a replacement string."""

    @classmethod
    def parse(cls, words: Sequence[str], sources: int) -> "Template":
        """Find the replacement strings; where there are none, the arguments are appended.

        Args:
            words: The command's words, the program first.
            sources: How many sources of arguments there are, which bounds `{1}`, `{2}` …

        Raises:
            TemplateError: A position that no source fills.
        """
        parsed = tuple(_parse_word(word, sources) for word in words)
        if all(isinstance(word, str) for word in parsed):
            parsed = (*parsed, (Placeholder(None, ""),))
        return cls(parsed)

    def fill(self, arguments: Sequence[str], number: int, slot: int) -> tuple[str, ...]:
        """Give the argv of one job.

        Args:
            arguments: One argument of each source.
            number: The job's number, from 1: `{#}`.
            slot: The job slot's number, from 1: `{%}`.
        """
        argv: list[str] = []
        for word in self.words:
            if isinstance(word, str):
                argv.append(word)
            elif len(word) == 1 and isinstance(word[0], Placeholder):
                argv.extend(word[0].values(arguments, number, slot))
            else:
                argv.append("".join(_text(piece, arguments, number, slot) for piece in word))
        return tuple(argv)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One replacement string."""

    position: int | None
    """Which source's argument, from 0 (negative from the end); None for each of them."""
    operation: str
    """What is done with it: `""`, `.`, `/`, `//`, `/.`; or `#` or `%`, which take no argument."""

    def values(self, arguments: Sequence[str], number: int, slot: int) -> list[str]:
        """Give what stands in its place: one string, or one for each source."""
        if self.operation == "#":
            return [str(number)]
        if self.operation == "%":
            return [str(slot)]
        taken = arguments if self.position is None else (arguments[self.position],)
        return [_operate(self.operation, argument) for argument in taken]


_HOLE = re.compile(r"\{(?:(?P<counter>[#%])|(?P<position>-?[1-9][0-9]*)?(?P<operation>//|/\.|/|\.|))\}")
_SEPARATORS = r"/\\" if os.name == "nt" else "/"
_UP_TO_BASENAME = re.compile(rf".*[{_SEPARATORS}]", re.DOTALL)
_EXTENSION = re.compile(rf"\.[^.{_SEPARATORS}]*\Z")


def _parse_word(word: str, sources: int) -> "str | tuple[str | Placeholder, ...]":
    pieces: list[str | Placeholder] = []
    end = 0
    for match in _HOLE.finditer(word):
        if match.start() > end:
            pieces.append(word[end : match.start()])
        pieces.append(_hole(match, sources))
        end = match.end()
    if not pieces:
        return word
    if end < len(word):
        pieces.append(word[end:])
    return tuple(pieces)


def _hole(match: re.Match[str], sources: int) -> Placeholder:
    if match["counter"]:
        return Placeholder(None, match["counter"])
    if not match["position"]:
        return Placeholder(None, match["operation"])
    position = int(match["position"])
    if abs(position) > sources:
        given = "there is only one" if sources == 1 else f"there are only {sources}"
        raise TemplateError(f"{match[0]} asks for source {abs(position)} of arguments, but {given}")
    return Placeholder(position - 1 if position > 0 else position, match["operation"])


def _text(piece: str | Placeholder, arguments: Sequence[str], number: int, slot: int) -> str:
    return piece if isinstance(piece, str) else " ".join(piece.values(arguments, number, slot))


def _operate(operation: str, argument: str) -> str:
    match operation:
        case ".":
            return _EXTENSION.sub("", argument)
        case "/":
            return _UP_TO_BASENAME.sub("", argument)
        case "/.":
            return _EXTENSION.sub("", _UP_TO_BASENAME.sub("", argument))
        case "//":
            return _directory(argument)
        case _:
            return argument


def _directory(argument: str) -> str:
    """Give the directory as dirname(1) does: `.` for a bare name; slashes at the end do not count."""
    stripped = argument.rstrip("/" + os.sep)
    if argument and not stripped:
        return argument[0]
    return os.path.dirname(stripped) or "."
