"""Sources of arguments (`:::`, `::::`, `-a`, standard input), and how several of them are combined."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from governess.cli.run.inputs.errors import SourceError
from governess.cli.run.inputs.records import Format, Row, open_input, read_records

__all__ = ["SEPARATORS", "Source", "combine", "file_source", "link_all", "sources_of"]

SEPARATORS = frozenset({":::", ":::+", "::::", "::::+"})


@dataclass(slots=True)
class Source:
    """Rows of arguments that are read once."""

    rows: Iterable[Row]
    size: int | None
    """How many rows there are; None if only the end of the file tells."""
    names: tuple[str, ...] = ()
    """The names of the columns, from the header."""
    width: int | None = 1
    """How many arguments a row has; None if that varies."""
    is_linked: bool = False
    """Whether its rows belong to those of the source before (`:::+`)."""


def sources_of(words: Sequence[str], form: Format, *, header: bool) -> list[Source]:
    """Return the sources that the words from the first separator on describe.

    Args:
        words: separators and what follows each of them.
        form: how arguments are read.
        header: whether the first record of each source names its columns.

    Raises:
        SourceError: a file cannot be opened or is not named.
    """
    sources: list[Source] = []
    for separator, values in _groups(words):
        linked = separator.endswith("+")
        if not separator.startswith("::::"):
            sources.append(_values_source(values, form, header=header, linked=linked))
            continue
        if not values:
            raise SourceError(f"{separator} needs a file of arguments, or - for standard input")
        sources += [file_source(path, form, header=header, linked=linked) for path in values]
    return sources


def _groups(words: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    starts = [at for at, word in enumerate(words) if word in SEPARATORS]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=False):
        yield words[start], words[start + 1 : end]


def _values_source(values: Sequence[str], form: Format, *, header: bool, linked: bool) -> Source:
    rows: Iterable[Row] = form.rows(values)
    size = len(values)
    if form.csv or form.skip_empty:
        rows = list(rows)
        size = len(rows)
    return _with_header(Source(rows, max(size - header, 0), is_linked=linked), form, header=header)


def file_source(path: str, form: Format, *, header: bool, linked: bool = False) -> Source:
    """Return the source that reads a file (`-` is standard input).

    Raises:
        SourceError: the file cannot be opened, or its header cannot be read.
    """
    records = read_records(open_input(path), path, form.delimiter)
    return _with_header(Source(form.rows(records), None, is_linked=linked), form, header=header)


def _with_header(source: Source, form: Format, *, header: bool) -> Source:
    rows = iter(source.rows)
    if form.has_columns:
        source.width = None
    if header:
        source.names = next(rows, ())
        source.width = len(source.names)
    source.rows = rows
    return source


def combine(sources: list[Source]) -> Source:
    """Return the source with every combination of the rows; linked sources are one.

    The last source varies fastest. The rows of the first are read when they are needed.
    """
    groups: list[list[Source]] = []
    for source in sources:
        if source.is_linked and groups:
            groups[-1].append(source)
        else:
            groups.append([source])
    joined = [_zip(group) if len(group) > 1 else group[0] for group in groups]
    if len(joined) == 1:
        return joined[0]
    return _joined(joined, _product([source.rows for source in joined]), _multiply(joined))


def link_all(sources: list[Source]) -> Source:
    """Return the source that takes a row from each source at a time; shorter sources begin anew (`--link`)."""
    columns = [list(source.rows) for source in sources]
    size = max(map(len, columns)) if all(columns) else 0
    rows = zip(*map(itertools.cycle, columns), strict=False)
    return _joined(sources, map(_flat, itertools.islice(rows, size)), size)


def _zip(group: list[Source]) -> Source:
    sizes = [source.size for source in group]
    size = None if None in sizes else min(size for size in sizes if size is not None)
    return _joined(group, map(_flat, zip(*(source.rows for source in group), strict=False)), size)


def _product(columns: list[Iterable[Row]]) -> Iterator[Row]:
    first, *others = columns
    kept = [list(column) for column in others]
    for row in first:
        for more in itertools.product(*kept):
            yield row + _flat(more)


def _multiply(sources: list[Source]) -> int | None:
    total = 1
    for source in sources:
        if source.size is None:
            return None
        total *= source.size
    return total


def _joined(sources: list[Source], rows: Iterable[Row], size: int | None) -> Source:
    names: list[str] = []
    width: int | None = 0
    for source in sources:
        names += source.names or [""] * (source.width or 0)
        width = None if width is None or source.width is None else width + source.width
    return Source(rows, size, tuple(names), width)


def _flat(rows: Iterable[Row]) -> Row:
    return tuple(itertools.chain.from_iterable(rows))
