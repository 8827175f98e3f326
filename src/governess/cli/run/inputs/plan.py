"""The commands to run: numbered items, made from the words and the input options of the command line.

The words follow GNU parallel. Sources of arguments: `CMD ::: A B`, several `:::` (every combination), `:::+` (linked to
the source before it), `::::` and `::::+` (arguments from files, one a line).
"""

import os
import random
import shlex
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from governess.cli.run.inputs.batches import Batching
from governess.cli.run.inputs.errors import SourceError
from governess.cli.run.inputs.pipe import Piping
from governess.cli.run.inputs.read_ahead import ReadAhead
from governess.cli.run.inputs.records import Format, Row, cannot_read
from governess.cli.run.inputs.shells import (
    SH,
    check_syntax,
    check_words,
    exported_function,
    is_shell_line,
    paste_warning,
    shell_for,
)
from governess.cli.run.inputs.sources import SEPARATORS, Source, combine, file_source, link_all, sources_of
from governess.cli.run.inputs.templates import LineTemplate, Strings, WordsTemplate
from governess.jobs import Command

__all__ = ["InputOptions", "Item", "Plan"]

ROWS_AHEAD = 65_536
BLOCKS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class InputOptions:
    """The options about what is run."""

    files: tuple[str, ...] = ()
    """Files of arguments (`-a`), sources before those of the words."""
    form: Format = field(default_factory=Format)
    """How records become arguments."""
    header: bool = False
    """Whether the first record of each source names its columns."""
    links: bool = False
    """Whether a command gets one row of each source, not every combination."""
    batching: Batching = field(default_factory=Batching)
    """How many rows of arguments a command gets."""
    replacement: str = "{}"
    """What stands for the argument (`-I`)."""
    shuffles: bool = False
    """Whether the commands come in random order."""
    as_it_stands: bool = False
    """Whether a command of one word is no line for the shell (`-q`)."""
    shell: str | None = None
    """The shell for lines; None for the default."""
    piping: Piping | None = None
    """How standard input is cut into blocks for the commands (`--pipe`); None if it is not."""
    tag: str | None = None
    """What stands before each line of output, with replacement strings; None for nothing."""


@dataclass(frozen=True, slots=True)
class Item:
    """What makes one command."""

    number: int
    """Its number, from 1."""
    arguments: Row
    """Its arguments."""
    input: bytes | None = None
    """What it finds on its standard input; None for nothing."""

    @property
    def name(self) -> str:
        """Its arguments as text."""
        return " ".join(self.arguments)


Filler = Callable[[Row, int, int], Command]


@dataclass
class Plan:
    """All commands of one run, taken one after the other."""

    values: Iterator[Row | bytes]
    """The arguments of each command, or its input."""
    size: int | None
    """How many commands there are; None if only the end of the input tells."""
    filler: Filler
    """Makes a command from its arguments, its number and the number of its slot, both from 1."""
    shell: str = SH
    """The program that runs lines."""
    warnings: list[str] = field(default_factory=list)
    """What the user should know before the first command starts, a line each."""
    tagger: WordsTemplate | None = None
    """Makes the text before each line of output."""
    taken: int = 0
    """How many items were taken."""
    _stream: ReadAhead[Row | bytes] | None = None

    @classmethod
    def of(cls, words: Sequence[str], options: InputOptions | None = None, *, is_command: bool = False) -> "Plan":
        """Make the plan.

        Args:
            words: the words after the options.
            options: the options; None for the defaults.
            is_command: whether the words are a command as they stand (after `--`).

        Raises:
            SourceError: there is nothing to run, the words are no command, or a file cannot be read.
        """
        return _Planner(words, options or InputOptions(), is_command).plan()

    @property
    def total(self) -> int | None:
        """How many commands there are; None as long as this is not known."""
        if self._stream is not None and self._stream.has_ended:
            return self._stream.count
        return self.size

    @property
    def known(self) -> int:
        """How many commands are known so far."""
        return self._stream.count if self._stream is not None else self.size or 0

    @property
    def is_ready(self) -> bool:
        """Whether `take` has an answer at once."""
        return self._stream is None or self._stream.is_ready

    async def wait(self) -> None:
        """Wait until `take` has an answer."""
        if self._stream is not None:
            await self._stream.wait()

    def take(self) -> Item | None:
        """Return the next item; None after the last one.

        Raises:
            SourceError: the input cannot be read any further.
        """
        value = next(self.values, None) if self._stream is None else self._stream.take()
        if value is None:
            return None
        self.taken += 1
        if isinstance(value, bytes):
            return Item(self.taken, (), value)
        return Item(self.taken, value)

    def command(self, item: Item, slot: int) -> Command:
        """Make the command of an item.

        Raises:
            ArgumentError: an argument cannot be put into it.
        """
        return self.filler(item.arguments, item.number, slot)

    def tag(self, item: Item, slot: int) -> str:
        """Return what stands before each line of an item's output; an empty string for nothing."""
        return "" if self.tagger is None else " ".join(self.tagger.fill(item.arguments, item.number, slot))

    def items(self) -> Iterator[Item]:
        """Take every item; blocks until the input is there."""
        while True:
            if self._stream is not None:
                self._stream.block()
            if (item := self.take()) is None:
                return
            yield item


class _Planner:
    def __init__(self, words: Sequence[str], options: InputOptions, is_command: bool) -> None:
        first = next((at for at, word in enumerate(words) if word in SEPARATORS), len(words))
        self.command, self.after = list(words[:first]), words[first:]
        self.options = options
        self.is_command = is_command
        self.warnings: list[str] = []

    def plan(self) -> Plan:
        if self.options.piping is not None:
            return self.piped(self.options.piping)
        command, options = self.command, self.options
        if command == [options.replacement]:
            command = []
        if not command:
            return self.lines_of_source()
        if len(command) == 1 and not (self.after or options.files or self.is_command) and self.is_file(command[0]):
            return self.lines([command[0]])
        return self.with_arguments()

    def lines_of_source(self) -> Plan:
        """Plan commands that are themselves the arguments."""
        if self.after or self.options.files:
            source = self.source()
            if not self.after:
                source.rows = filter(_is_command, source.rows)
            return self.planned(source, _line, None)
        if not self.command and _is_terminal():
            raise SourceError("nothing to run: give a command and its arguments, a file of commands, or - (see --help)")
        return self.lines(["-"])

    def lines(self, paths: list[str]) -> Plan:
        """Plan the commands in files, one a line."""
        self.tell_of_terminal(paths, "commands")
        sources = [file_source(path, self.options.form, header=False) for path in paths]
        source = combine(sources)
        source.rows = filter(_is_command, source.rows)
        return self.planned(source, _line, None)

    def is_file(self, word: str) -> bool:
        """Return whether a single word is a file of commands, and no command.

        Raises:
            SourceError: it is neither, or it could be both.
        """
        if word == "-":
            return True
        if self.options.as_it_stands:
            return False
        if not os.path.exists(word):
            if (
                is_shell_line(word, self.strings())
                or shutil.which(word)
                or exported_function(word)
                or self.strings().find(word)
            ):
                return False
            raise SourceError(f"{cannot_read(word, FileNotFoundError(2, os.strerror(2)))}, nor is it a program")
        if sys.platform != "win32" and "/" in word and os.path.isfile(word) and os.access(word, os.X_OK):
            raise SourceError(
                f"{word} is a program: to run it for each line of standard input, write -- before it; to run its lines "
                f"as commands: governess run - < {shlex.quote(word)}"
            )
        return True

    def with_arguments(self) -> Plan:
        """Plan one command for each row of arguments."""
        source = self.source()
        filler, text = self.filler(source)
        return self.planned(source, filler, text)

    def piped(self, piping: Piping) -> Plan:
        """Plan one command for each block of input."""
        if self.after:
            raise SourceError("--pipe gives the input to the commands: leave ::: out, or leave --pipe out")
        if not self.command:
            raise SourceError("--pipe needs a command, which reads its standard input")
        if len(self.options.files) > 1:
            raise SourceError("--pipe reads one file: leave the other -a out")
        path = self.options.files[0] if self.options.files else "-"
        filler, text = self.filler(Source((), None, width=0), append=False)
        self.tell_of_terminal([path], "input")
        return self.finished(piping.blocks(path), None, filler, text, BLOCKS_AHEAD)

    def source(self) -> Source:
        """Return the one source of rows."""
        options = self.options
        files = list(options.files) if options.files or self.after else ["-"]
        paths = [*files, *self.after]
        self.tell_of_terminal(paths, "arguments")
        sources = [file_source(path, options.form, header=options.header) for path in files]
        sources += sources_of(self.after, options.form, header=options.header)
        return link_all(sources) if options.links else combine(sources)

    def strings(self, source: Source | None = None) -> Strings:
        names = source.names if source is not None else ()
        width = None if source is None or not self.options.batching.is_single else source.width
        return Strings(width, names, self.options.replacement)

    def filler(self, source: Source, *, append: bool = True) -> tuple[Filler, str | None]:
        """Return what makes a command, and its text if a shell runs it."""
        words, batching = self.command, self.options.batching
        strings = self.strings(source)
        append = append and batching.size != 0
        if len(words) == 1 and not self.options.as_it_stands and is_shell_line(words[0], strings):
            template = LineTemplate.parse(words[0], strings, batching.fill, append=append)
            if sys.platform != "win32":
                check_syntax(self.shell(words[0]), template.fill(("0",) * 9, 1, 1))
            return template.fill, words[0]
        if sys.platform != "win32" and exported_function(words[0]) and shutil.which(words[0]) is None:
            of_words = WordsTemplate.parse(words, strings, batching.fill, append=append)
            return (lambda *what: shlex.join(of_words.fill(*what))), words[0]
        if not (self.is_command or self.options.as_it_stands):
            check_words(words, strings)
        if warning := paste_warning(words, strings):
            self.warnings.append(warning)
        return WordsTemplate.parse(words, strings, batching.fill, append=append).fill, None

    def planned(self, source: Source, filler: Filler, text: str | None) -> Plan:
        options = self.options
        size = options.batching.size_of(source.size)
        used = sum(len(word) + 1 for word in self.command)
        times = sum(len(self.strings(source).find(word)) for word in self.command)
        rows: Iterable[Row] = options.batching.batches(source.rows, used, times)
        if options.shuffles:
            rows = _shuffled(rows)
        if size is None and source.size is not None:
            rows = list(rows)
            size = len(rows)
        return self.finished(iter(rows), size, filler, text, ROWS_AHEAD, source)

    def finished(
        self,
        values: Iterator[Row | bytes],
        size: int | None,
        filler: Filler,
        text: str | None,
        ahead: int,
        source: Source | None = None,
    ) -> Plan:
        options = self.options
        strings = self.strings(source)
        tagger = None if options.tag is None else WordsTemplate.parse([options.tag], strings, append=False)
        stream: ReadAhead[Row | bytes] | None = None
        if size is None:
            stream, values = ReadAhead(values, ahead), iter(())
        return Plan(values, size, filler, self.shell(text), self.warnings, tagger, _stream=stream)

    def shell(self, text: str | None) -> str:
        if text is None and self.options.shell is None:
            return SH
        return shell_for(text or "", self.options.shell)

    def tell_of_terminal(self, paths: Iterable[str], what: str) -> None:
        if "-" in paths and _is_terminal():
            self.warnings.append(f"reading {what} from the terminal; Ctrl-D on a line of its own ends them")


def _line(arguments: Row, number: int, slot: int) -> Command:
    return " ".join(arguments)


def _is_command(row: Row) -> bool:
    text = " ".join(row).lstrip()
    return bool(text) and not text.startswith("#")


def _shuffled(rows: Iterable[Row]) -> Iterator[Row]:
    kept = list(rows)
    random.shuffle(kept)
    yield from kept


def _is_terminal() -> bool:
    try:
        return stat.S_ISCHR(os.fstat(0).st_mode) and os.isatty(0)
    except OSError:
        return False
