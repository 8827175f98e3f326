"""Commands with replacement strings: compiled once, filled for each job."""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from governess.cli.run.inputs.errors import SourceError
from governess.cli.run.inputs.operations import OPERATIONS
from governess.cli.run.inputs.quoting import Place, quote
from governess.cli.run.inputs.shell_lines import locate

__all__ = ["Fill", "LineTemplate", "Placeholder", "Strings", "WordsTemplate"]


class Fill(Enum):
    """What becomes of a word with a replacement string if there are several arguments."""

    JOIN = "join"
    """A word that is nothing else becomes a word for each; in any other they are joined by blanks."""
    REPEAT = "repeat"
    """The whole word is repeated for each (`-X`, `-n`, `-N`)."""
    SPREAD = "spread"
    """They become words; the rest of the word stays at the first and the last (`-m`)."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One replacement string."""

    text: str
    position: int | None = None
    """The index of the argument, from 0 (negative from the end); None for all arguments."""
    operation: str = ""
    """A key of `OPERATIONS`; or `#` or `%`, which take no argument."""

    def values(self, arguments: Sequence[str], number: int, slot: int) -> list[str]:
        """Return the strings that replace it: one, or one for each argument; none for an argument that is missing."""
        operation, position = self.operation, self.position
        if operation == "#":
            return [str(number)]
        if operation == "%":
            return [str(slot)]
        operate = OPERATIONS[operation]
        if position is None:
            return [operate(argument) for argument in arguments]
        is_there = -len(arguments) <= position < len(arguments)
        return [operate(arguments[position])] if is_there else []

    @property
    def repeats(self) -> bool:
        """Whether it stands for all arguments."""
        return self.position is None and self.operation not in ("#", "%")


@dataclass(frozen=True, slots=True)
class Strings:
    """Which replacement strings there are."""

    sources: int | None = None
    """How many arguments a job has, which limits `{1}`, `{2}` …; None if that varies."""
    names: tuple[str, ...] = ()
    """The names of the arguments, from headers."""
    whole: str = "{}"
    """What stands for the argument itself."""

    def find(self, text: str) -> list[tuple[int, int, Placeholder]]:
        """Return the start, the end and the meaning of each replacement string in a text.

        Raises:
            SourceError: one refers to an argument that does not exist, or to something that only GNU parallel has.
        """
        if perl := _PERL.search(text):
            raise SourceError(
                f"{perl[0]} is Perl, which governess does not run; use {{.}}, {{/}} and the like, or the shell: "
                "governess run 'x={}; echo \"${x%.*}\"'"
            )
        return [(match.start(), match.end(), self._placeholder(match)) for match in self._pattern().finditer(text)]

    def _pattern(self) -> re.Pattern[str]:
        names = "".join(f"|{re.escape(name)}" for name in sorted(self.names, key=len, reverse=True) if name)
        inner = rf"(?:(?P<counter>[#%])|(?P<which>-?[1-9][0-9]*{names})?(?P<operation>{_OPERATIONS}))"
        if self.whole == "{}":
            return re.compile(rf"\{{{inner}\}}")
        return re.compile(rf"(?P<whole>{re.escape(self.whole)})|\{{(?!\}}){inner}\}}")

    def _placeholder(self, match: re.Match[str]) -> Placeholder:
        found = match.groupdict()
        if found.get("whole"):
            return Placeholder(match[0])
        if counter := found["counter"]:
            return Placeholder(match[0], None, counter)
        which = found["which"]
        if which is None:
            return Placeholder(match[0], None, found["operation"])
        if which in self.names:
            return Placeholder(match[0], self.names.index(which), found["operation"])
        position = int(which)
        if self.sources is not None and abs(position) > self.sources:
            given = "there is only one" if self.sources == 1 else f"there are only {self.sources}"
            raise SourceError(f"{match[0]} asks for source {abs(position)} of arguments, but {given}")
        return Placeholder(match[0], position - 1 if position > 0 else position, found["operation"])


_PERL = re.compile(r"\{=.*?=\}", re.DOTALL)
_OPERATIONS = "|".join(re.escape(name) for name in sorted(OPERATIONS, key=len, reverse=True))

Pieces = tuple[str | Placeholder, ...]


@dataclass(frozen=True, slots=True)
class WordsTemplate:
    """The words of a command that runs without a shell."""

    words: tuple[str | Pieces, ...]
    """Each word: a plain string, or its pieces if it contains a replacement string."""
    fill_mode: Fill = Fill.JOIN

    @classmethod
    def parse(
        cls, words: Iterable[str], strings: Strings, fill: Fill = Fill.JOIN, *, append: bool = True
    ) -> "WordsTemplate":
        """Find the replacement strings.

        Args:
            words: the words of the command, the program first.
            strings: which replacement strings there are.
            fill: what becomes of a word if there are several arguments.
            append: whether arguments are appended to a command without replacement strings.

        Raises:
            SourceError: a replacement string refers to what does not exist.
        """
        parsed = tuple(_pieces(word, strings) for word in words)
        if append and all(isinstance(word, str) for word in parsed):
            parsed = (*parsed, (Placeholder("{}"),))
        return cls(parsed, fill)

    def fill(self, arguments: Sequence[str], number: int, slot: int) -> tuple[str, ...]:
        """Return the argv of one job.

        Args:
            arguments: its arguments.
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
                argv.extend(_word(word, self.fill_mode, arguments, number, slot))
        return tuple(argv)


def _pieces(text: str, strings: Strings) -> str | Pieces:
    pieces: list[str | Placeholder] = []
    end = 0
    for start, stop, placeholder in strings.find(text):
        pieces += [text[end:start], placeholder]
        end = stop
    pieces.append(text[end:])
    return tuple(piece for piece in pieces if piece != "") if len(pieces) > 1 else text


def _word(pieces: Pieces, fill: Fill, arguments: Sequence[str], number: int, slot: int) -> list[str]:
    """Return the words that a word with replacement strings among other text becomes."""
    values = [[piece] if isinstance(piece, str) else piece.values(arguments, number, slot) for piece in pieces]
    repeats = [not isinstance(piece, str) and piece.repeats for piece in pieces]
    if fill is Fill.JOIN or not any(repeats):
        return ["".join(map(" ".join, values))]
    if fill is Fill.REPEAT:
        return [
            "".join(
                column[at] if is_repeated else " ".join(column)
                for column, is_repeated in zip(values, repeats, strict=True)
            )
            for at in range(len(arguments))
        ]
    words = [""]
    for column in values:
        words[-1] += column[0] if column else ""
        words += column[1:]
    return words


@dataclass(frozen=True, slots=True)
class _Spot:
    """One replacement string of a shell line, and where it stands."""

    placeholder: Placeholder
    place: Place

    def text(self, arguments: Sequence[str], number: int, slot: int) -> str:
        return quote(self.placeholder.values(arguments, number, slot), self.place)


@dataclass(frozen=True, slots=True)
class _Repeated:
    """A word of a shell line that is repeated for each argument."""

    pieces: tuple[str | _Spot, ...]

    def text(self, arguments: Sequence[str], number: int, slot: int) -> str:
        return " ".join(self._once(arguments, at, number, slot) for at in range(len(arguments)))

    def _once(self, arguments: Sequence[str], at: int, number: int, slot: int) -> str:
        return "".join(
            piece
            if isinstance(piece, str)
            else piece.text(arguments[at : at + 1] if piece.placeholder.repeats else arguments, number, slot)
            for piece in self.pieces
        )


@dataclass(frozen=True, slots=True)
class LineTemplate:
    """A line for the shell, in which each argument is quoted for the place where it stands."""

    pieces: tuple[str | _Spot | _Repeated, ...]

    @classmethod
    def parse(cls, line: str, strings: Strings, fill: Fill = Fill.JOIN, *, append: bool = True) -> "LineTemplate":
        """Find the replacement strings and where they stand.

        Args:
            line: the line.
            strings: which replacement strings there are.
            fill: what becomes of a word if there are several arguments.
            append: whether arguments are appended to a line without replacement strings.

        Raises:
            SourceError: a replacement string refers to what does not exist, or stands where nothing can be quoted.
        """
        found = strings.find(line)
        if append and not found:
            line = f"{line} {strings.whole}"
            found = [(len(line) - len(strings.whole), len(line), Placeholder(strings.whole))]
        if sys.platform == "win32":
            places = {start: Place.CMD for start, _, _ in found}
            return cls(
                _split(line, 0, len(line), [(start, end, _Spot(what, places[start])) for start, end, what in found])
            )
        marks, words = locate(line, {start: end for start, end, _ in found})
        spots = [(start, end, _Spot(what, marks[start].place)) for start, end, what in found]
        if fill is not Fill.REPEAT:
            return cls(_split(line, 0, len(line), spots))
        pieces: list[str | _Spot | _Repeated] = []
        at = 0
        for first in sorted({marks[start].word_start for start, _, spot in spots if spot.placeholder.repeats}):
            pieces += _split(line, at, first, spots)
            at = words[first]
            pieces.append(_Repeated(_split(line, first, at, spots)))
        return cls((*pieces, *_split(line, at, len(line), spots)))

    def fill(self, arguments: Sequence[str], number: int, slot: int) -> str:
        """Return the line of one job.

        Raises:
            ArgumentError: an argument cannot be put into the line.
        """
        return "".join(
            piece if isinstance(piece, str) else piece.text(arguments, number, slot) for piece in self.pieces
        )


def _split(line: str, start: int, end: int, spots: Iterable[tuple[int, int, _Spot]]) -> tuple[str | _Spot, ...]:
    """Return the pieces of a part of a line."""
    pieces: list[str | _Spot] = []
    for first, last, spot in spots:
        if start <= first < end:
            pieces += [line[start:first], spot]
            start = last
    pieces.append(line[start:end])
    return tuple(piece for piece in pieces if piece != "")
