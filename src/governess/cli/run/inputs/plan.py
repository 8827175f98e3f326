"""The commands to run: numbered items, taken one after the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from governess.cli.run.inputs.read_ahead import ReadAhead
from governess.cli.run.inputs.records import Row
from governess.cli.run.inputs.shells import SH
from governess.cli.run.inputs.templates import WordsTemplate
from governess.jobs import Command

__all__ = ["Filler", "Item", "Plan"]


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
