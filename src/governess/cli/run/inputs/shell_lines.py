"""Where in a shell line its replacement strings stand, as POSIX shells and bash read the line.

Where the shells differ, or an argument could not be quoted (in backquotes, here-documents, comments), the line is
refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from governess.cli.run.inputs.errors import SourceError
from governess.cli.run.inputs.quoting import Place

__all__ = ["Mark", "locate"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What a replacement string stands in."""

    place: Place
    word_start: int
    """The position in the line where its shell word starts."""


def locate(line: str, spans: Mapping[int, int]) -> tuple[dict[int, Mark], dict[int, int]]:
    """Find the place of each replacement string.

    Args:
        line: the line for the shell.
        spans: the start and end of each replacement string.

    Returns:
        The mark of each replacement string by its start, and the end of each shell word by its start.

    Raises:
        SourceError: an argument cannot be quoted in one of these places.
    """
    reader = _Reader(line, spans)
    reader.read()
    return reader.marks, reader.words


_OPENINGS = {"bare": "$(", "double": '"', "arithmetic": "((", "brace": "${"}
_DESCRIPTOR = re.compile(r"[ \t]*(?:\d+|-)(?![^\s;|&<>()])")
_CASE = re.compile(r"case\b")


def _unclosed(opening: str) -> SourceError:
    """Return the error for a quote or bracket without its end."""
    return SourceError(f"the shell line never closes {opening!r}")


class _Enough(Exception):
    """No replacement string follows, and the shells differ in how they read the rest."""


@dataclass(slots=True)
class _Frame:
    """An open construct; `kind` says how its text is read."""

    kind: str
    """`bare`, `double`, `arithmetic` or `brace` (a parameter expansion)."""
    start: int
    depth: int = 0
    is_quoted: bool = False
    """Whether it stands within double quotes."""


@dataclass
class _Reader:
    line: str
    spans: Mapping[int, int]
    marks: dict[int, Mark] = field(default_factory=dict)
    words: dict[int, int] = field(default_factory=dict)
    frames: list[_Frame] = field(default_factory=lambda: [_Frame("bare", 0)])
    word_start: int | None = None
    at: int = 0

    def read(self) -> None:
        try:
            while self.at < len(self.line):
                if self.at in self.spans:
                    self.mark()
                else:
                    getattr(self, f"in_{self.frames[-1].kind}")(self.line[self.at])
        except _Enough:
            self.at, self.frames[1:] = len(self.line), []
        self.end_word()
        if len(self.frames) > 1:
            raise _unclosed(_OPENINGS[self.frames[-1].kind])

    def mark(self) -> None:
        """Note a replacement string."""
        kind = self.frames[-1].kind
        if kind == "brace":
            self.refuse("inside ${…}", "assign it to a variable first: x={}; … ${x}")
        if self.line[self.at - 1 : self.at] == "$":
            self.refuse("directly after $", "put a blank or a quote between them")
        self.begin_word()
        self.marks[self.at] = Mark(Place(kind), self.start_of_word())
        self.at = self.spans[self.at]

    def in_bare(self, character: str) -> None:
        frame = self.frames[-1]
        if character in " \t\n" or character in ";|&<>()":
            self.operator(character, frame)
            return
        if character == "#" and self.at_word_start():
            self.skip_to(self.find("\n", len(self.line)), "in a comment", "leave the comment out")
            return
        if len(self.frames) > 1 and self.at_word_start() and _CASE.match(self.line, self.at):
            self.refuse_rest("after 'case' in $(…)", "write the line into a script")
        self.begin_word()
        if character == "'":
            self.single_quotes()
        elif character == '"':
            self.push("double", 1)
        else:
            self.expansion(character)

    def operator(self, character: str, frame: _Frame) -> None:
        if self.line.startswith("<<", self.at) and not self.line.startswith("<<<", self.at):
            self.refuse_rest("beside a here-document", "write the line into a script, or use printf")
        if self.line.startswith((">&", "<&"), self.at) and not _DESCRIPTOR.match(self.line, self.at + 2):
            # bash expands such a word twice, so that quotes do not help.
            self.refuse_rest("after >& that no number follows", "write >FILE 2>&1 instead of >&FILE")
        if character == ")" and len(self.frames) > 1 and frame.depth == 0:
            self.pop(1)
            return
        self.end_word_here()
        if self.line.startswith("((", self.at):
            self.push("arithmetic", 2)
            return
        frame.depth += (character == "(") - (character == ")")
        self.at += 3 if self.line.startswith("<<<", self.at) else 1

    def in_double(self, character: str) -> None:
        if character == '"':
            self.pop(1)
        else:
            self.expansion(character)

    def in_arithmetic(self, character: str) -> None:
        frame = self.frames[-1]
        if character in "'\"\\`":
            self.refuse_rest(f"after {character} in $((…))", "assign it to a variable first")
        if character == ")" and frame.depth == 0:
            if not self.line.startswith("))", self.at):
                self.refuse_rest("after a subshell in $(…)", "write '$( (' instead of '$(('")
            self.pop(2)
            return
        frame.depth += (character == "(") - (character == ")")
        self.expansion(character)

    def in_brace(self, character: str) -> None:
        if character in "'\"" and (self.frames[-1].is_quoted or character == "'"):
            self.refuse_rest("after a quote in ${…}", "assign it to a variable first: x={}; … ${x}")
        if character == "}":
            self.pop(1)
        elif character == '"':
            self.push("double", 1)
        else:
            self.expansion(character)

    def expansion(self, character: str) -> None:
        """Read what means the same in and outside of double quotes."""
        line, at = self.line, self.at
        if character == "\\":
            if at + 1 in self.spans:
                self.at += 1
                self.refuse("directly after a backslash", "leave the backslash out: arguments are quoted")
            self.at += 2
        elif character == "`":
            self.skip_to(self.closing_backquote() + 1, "inside backquotes", "use $(…) instead")
        elif line.startswith("$((", at):
            self.push("arithmetic", 3)
        elif line.startswith("$(", at):
            self.push("bare", 2)
        elif line.startswith("$[", at):
            self.refuse_rest("after $[", "use $((…)) instead")
        elif line.startswith("${", at) and at + 1 not in self.spans:
            self.push("brace", 2)
        elif line.startswith("$'", at) and self.frames[-1].kind == "bare":
            self.skip_to(self.closing_ansi_quote() + 1, "inside $'…'", "use '…' or \"…\" instead")
        else:
            self.at += 1

    def single_quotes(self) -> None:
        start = self.at
        end = self.find("'", -1, start + 1)
        while (inside := self.next_span(start, end)) is not None:
            self.marks[inside] = Mark(Place.SINGLE, self.start_of_word())
            start = self.spans[inside]
            end = self.find("'", -1, start)
        if end < 0:
            raise _unclosed("'")
        self.at = end + 1

    def closing_backquote(self) -> int:
        match = re.compile(r"(?:[^`\\]|\\.)*`", re.DOTALL).match(self.line, self.at + 1)
        if match is None:
            raise _unclosed("`")
        return match.end() - 1

    def closing_ansi_quote(self) -> int:
        end = self.find("'", -1, self.at + 2)
        if end < 0:
            raise _unclosed("$'")
        if "\\'" in self.line[self.at : end + 1]:
            self.refuse_rest("after \\' in $'…'", "use '…' or \"…\" instead")
        return end

    def skip_to(self, end: int, where: str, remedy: str) -> None:
        if (inside := self.next_span(self.at, end)) is not None:
            self.at = inside
            self.refuse(where, remedy)
        self.at = end

    def next_span(self, start: int, end: int) -> int | None:
        return min((span for span in self.spans if start <= span and (end < 0 or span < end)), default=None)

    def refuse_rest(self, where: str, remedy: str) -> None:
        """Refuse the line if a replacement string follows; else leave the rest of it unread."""
        if (rest := self.next_span(self.at, -1)) is not None:
            self.at = rest
            self.refuse(where, remedy)
        raise _Enough

    def refuse(self, where: str, remedy: str) -> None:
        text = self.line[self.at : self.spans[self.at]]
        raise SourceError(f"an argument cannot be quoted where {text} stands, {where}: {remedy}")

    def push(self, kind: str, width: int) -> None:
        quoted = any(frame.kind == "double" for frame in self.frames)
        self.frames.append(_Frame(kind, self.at, is_quoted=quoted))
        self.at += width

    def pop(self, width: int) -> None:
        self.frames.pop()
        self.at += width

    def find(self, text: str, otherwise: int, start: int | None = None) -> int:
        found = self.line.find(text, self.at if start is None else start)
        return otherwise if found < 0 else found

    def at_word_start(self) -> bool:
        return self.at == 0 or self.line[self.at - 1] in " \t\n;|&<>()"

    def begin_word(self) -> None:
        if self.word_start is None:
            self.word_start = self.at

    def start_of_word(self) -> int:
        assert self.word_start is not None
        return self.word_start

    def end_word_here(self) -> None:
        if len(self.frames) == 1:
            self.end_word()

    def end_word(self) -> None:
        if self.word_start is not None:
            self.words[self.word_start] = self.at
            self.word_start = None
