"""The commands to run: a plan of numbered commands, made from the words of the command line.

The words follow GNU parallel. Sources of arguments: `CMD ::: A B`, several `:::` (every combination), `:::+` (linked to
the source before it), `::::` and `::::+` (arguments from files, one a line). Replacement strings: `{}`, `{.}`, `{/}`,
`{//}`, `{/.}`, `{#}`, `{%}` and `{1}`, `{2/.}`, `{-1}`. The caller passes the function that reads files.
"""

import itertools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Command", "Plan", "SourceError", "Template", "read_lines"]

Reader = Callable[[str], list[str]]

Command = tuple[str, ...] | str
"""An argv, which is executed without a shell; or a line, which a shell runs."""


class SourceError(ValueError):
    """The words or files name no command that can run; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All commands of one run; each is made when it is needed."""

    total: int
    """How many commands there are."""
    arguments: Iterable[tuple[str, ...]]
    """The arguments of each command."""
    command: Callable[[tuple[str, ...], int, int], Command]
    """Makes a command from its arguments, its number (from 1) and the number of its slot (from 1)."""

    @classmethod
    def of(cls, words: Sequence[str], read: Reader, *, is_command: bool = False) -> "Plan":
        """Make the plan from the words of the command line.

        Args:
            words: the words after the options.
            read: returns the lines of a file (`-` is standard input).
            is_command: whether a single word is a command (as after `--`), not a file of commands.

        Raises:
            SourceError: there is nothing to run, or a file cannot be read.
        """
        if not words:
            raise SourceError("nothing to run: give a command and its arguments, a file of commands, or - (see --help)")
        first = next((place for place, word in enumerate(words) if word in _SEPARATORS), len(words))
        if first < len(words):
            return _combined(words[:first], _sources(words[first:], read))
        if len(words) == 1 and not is_command:
            return _lines(words[0], read)
        lines = read("-")
        if not lines:
            raise SourceError("standard input holds no arguments")
        return _combined(words, [[(line,) for line in lines]])


def read_lines(path: str) -> list[str]:
    """Read the lines of a file (`-` is standard input); undecodable bytes become surrogates.

    Args:
        path: the file.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read() if sys.stdin is not None else b""
        else:
            with open(path, "rb") as file:
                data = file.read()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from None
    lines = data.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()).split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines] if sys.platform == "win32" else lines


_SEPARATORS = frozenset({":::", ":::+", "::::", "::::+"})

Source = list[tuple[str, ...]]


def _lines(path: str, read: Reader) -> Plan:
    lines = [(line,) for line in read(path) if (bare := line.strip()) and not bare.startswith("#")]
    if not lines:
        raise SourceError(f"{'standard input' if path == '-' else path} holds no commands")
    return Plan(len(lines), lines, lambda arguments, number, slot: arguments[0])


def _combined(words: Sequence[str], sources: list[Source]) -> Plan:
    total = 1
    for source in sources:
        total *= len(source)
    arguments = _every_combination(sources)
    width = sum(len(source[0]) for source in sources)
    if not words:
        return Plan(total, [_split(combination) for combination in arguments], _itself)
    return Plan(total, arguments, Template.parse(words, width).fill)


def _every_combination(sources: list[Source]) -> Iterator[tuple[str, ...]]:
    if len(sources) == 1:
        return iter(sources[0])
    return (tuple(itertools.chain.from_iterable(rows)) for rows in itertools.product(*sources))


def _itself(arguments: tuple[str, ...], number: int, slot: int) -> Command:
    return arguments


def _split(words: tuple[str, ...]) -> tuple[str, ...]:
    """Split a whole command into words as a shell does, without running a shell."""
    argv: list[str] = []
    for word in words:
        lexer = shlex.shlex(word, posix=True, punctuation_chars=False)
        lexer.whitespace_split = True
        lexer.commenters = ""
        if sys.platform == "win32":
            lexer.escape = ""
        try:
            argv.extend(lexer)
        except ValueError as error:
            raise SourceError(f"cannot split {word!r} into words: {str(error).lower()}") from None
    if not argv:
        raise SourceError("an empty command among the arguments")
    return tuple(argv)


def _sources(words: Sequence[str], read: Reader) -> list[Source]:
    """Return the sources of arguments; sources linked by `:::+` are zipped into one."""
    sources: list[Source] = []
    for separator, values in _groups(words):
        if separator.startswith("::::"):
            if not values:
                raise SourceError(f"{separator} needs a file of arguments")
            columns = [(read(path), "standard input" if path == "-" else path) for path in values]
        else:
            columns = [(values, separator)]
        for column, name in columns:
            if not column:
                raise SourceError(f"no arguments after {name}" if name == separator else f"{name} holds no arguments")
            if separator.endswith("+") and sources:
                sources[-1] = [(*row, value) for row, value in zip(sources[-1], column, strict=False)]
            else:
                sources.append([(value,) for value in column])
    return sources


def _groups(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    start = 0
    for end in range(1, len(words) + 1):
        if end == len(words) or words[end] in _SEPARATORS:
            yield words[start], list(words[start + 1 : end])
            start = end


@dataclass(frozen=True, slots=True)
class Template:
    """The words of a command, and the replacement strings in them."""

    words: tuple["str | tuple[str | Placeholder, ...]", ...]
    """Each word: a plain string, or its pieces if it contains a replacement string."""

    @classmethod
    def parse(cls, words: Sequence[str], sources: int) -> "Template":
        """Find the replacement strings; if there are none, the arguments are appended.

        Args:
            words: the words of the command, the program first.
            sources: the number of sources of arguments, which limits `{1}`, `{2}` …

        Raises:
            SourceError: a replacement string refers to a source that does not exist.
        """
        parsed = tuple(_parse_word(word, sources) for word in words)
        if all(isinstance(word, str) for word in parsed):
            parsed = (*parsed, (Placeholder(None, ""),))
        return cls(parsed)

    def fill(self, arguments: Sequence[str], number: int, slot: int) -> tuple[str, ...]:
        """Return the argv of one job.

        Args:
            arguments: one argument from each source.
            number: the number of the job, from 1: `{#}`.
            slot: the number of its slot, from 1: `{%}`.
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
    """The index of the source, from 0 (negative from the end); None for all sources."""
    operation: str
    """What is done with the argument: `""`, `.`, `/`, `//`, `/.`; or `#` or `%`, which take no argument."""

    def values(self, arguments: Sequence[str], number: int, slot: int) -> list[str]:
        """Return the strings that replace it: one, or one for each source."""
        if self.operation == "#":
            return [str(number)]
        if self.operation == "%":
            return [str(slot)]
        taken = arguments if self.position is None else (arguments[self.position],)
        return [_operate(self.operation, argument) for argument in taken]


_PLACEHOLDER = re.compile(r"\{(?:(?P<counter>[#%])|(?P<position>-?[1-9][0-9]*)?(?P<operation>//|/\.|/|\.|))\}")
_PATH_SEPARATORS = r"/\\" if os.name == "nt" else "/"
_UP_TO_BASENAME = re.compile(rf".*[{_PATH_SEPARATORS}]", re.DOTALL)
_EXTENSION = re.compile(rf"\.[^.{_PATH_SEPARATORS}]*\Z")


def _parse_word(word: str, sources: int) -> "str | tuple[str | Placeholder, ...]":
    pieces: list[str | Placeholder] = []
    end = 0
    for match in _PLACEHOLDER.finditer(word):
        if match.start() > end:
            pieces.append(word[end : match.start()])
        pieces.append(_placeholder(match, sources))
        end = match.end()
    if not pieces:
        return word
    if end < len(word):
        pieces.append(word[end:])
    return tuple(pieces)


def _placeholder(match: re.Match[str], sources: int) -> Placeholder:
    if match["counter"]:
        return Placeholder(None, match["counter"])
    if not match["position"]:
        return Placeholder(None, match["operation"])
    position = int(match["position"])
    if abs(position) > sources:
        given = "there is only one" if sources == 1 else f"there are only {sources}"
        raise SourceError(f"{match[0]} asks for source {abs(position)} of arguments, but {given}")
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
    """Return the directory as dirname(1) does: `.` for a bare name; trailing slashes are ignored."""
    stripped = argument.rstrip("/" + os.sep)
    if argument and not stripped:
        return argument[0]
    return os.path.dirname(stripped) or "."
