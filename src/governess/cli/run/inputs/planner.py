"""From the words and the input options of the command line to a plan.

The words follow GNU parallel. Sources of arguments: `CMD ::: A B`, several `:::` (every combination), `:::+` (linked to
the source before it), `::::` and `::::+` (arguments from files, one a line).
"""

import os
import random
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence

from governess.cli.run.inputs.errors import SourceError
from governess.cli.run.inputs.options import InputOptions
from governess.cli.run.inputs.pipe import Piping
from governess.cli.run.inputs.plan import Filler, Plan
from governess.cli.run.inputs.read_ahead import ReadAhead
from governess.cli.run.inputs.records import Row, cannot_read
from governess.cli.run.inputs.shells import (
    SH,
    check_syntax,
    check_words,
    exported_function,
    is_shell_line,
    line_paste_warning,
    paste_warning,
    shell_for,
)
from governess.cli.run.inputs.sources import SEPARATORS, Source, combine, file_source, link_all, sources_of
from governess.cli.run.inputs.templates import LineTemplate, Strings, WordsTemplate
from governess.jobs import Command

__all__ = ["make_plan"]

ROWS_AHEAD = 65_536
BLOCKS_AHEAD = 2


def make_plan(words: Sequence[str], options: InputOptions | None = None, *, is_command: bool = False) -> Plan:
    """Make the plan.

    Args:
        words: the words after the options.
        options: the options; None for the defaults.
        is_command: whether the words are a command as they stand (after `--`).

    Raises:
        SourceError: there is nothing to run, the words are no command, or a file cannot be read.
    """
    return _Planner(words, options or InputOptions(), is_command).plan()


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
                if warning := line_paste_warning(words[0], strings):
                    self.warnings.append(warning)
                # One argument, or as many as there may be columns: either may be what the line is written for.
                lines = [template.fill(("0",) * count, 1, 1) for count in (source.width or 1, 9)]
                check_syntax(self.shell(words[0]), *lines)
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
    return os.isatty(0)
