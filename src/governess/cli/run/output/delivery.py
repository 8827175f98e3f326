"""Which command's output is written when: one command at a time, or line by line."""

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from governess.cli.run.output.spool import Block, FileBlock, Spool
from governess.cli.run.output.writer import Writer

__all__ = ["CommandOutput", "Delivery", "Flow", "Grouping"]

SPOOL = 2**30
LONGEST_LINE = 2**20


class Grouping(Enum):
    """How outputs of commands that run at the same time are kept apart."""

    LIVE = "live"
    """In blocks; the block of one command is written while it runs."""
    WHOLE = "whole"
    """In blocks, each when its command has ended."""
    LINES = "lines"
    """Line by line."""
    NONE = "none"
    """Not at all: commands write to our outputs themselves."""


class Flow(Protocol):
    """Something whose output can be paused."""

    def pause_output(self) -> None:
        """Read no more of its output."""
        ...

    def resume_output(self) -> None:
        """Read its output again."""
        ...


class CommandOutput:
    """The output of one command.

    Attributes:
        number: the number of the command.
        flow: what pauses the command; None until it runs.
        stdout_size: how many bytes have come from its standard output.
    """

    __slots__ = ("_block", "_delivery", "_tags", "flow", "has_ended", "number", "pauses", "rests", "stdout_size")

    def __init__(self, delivery: "Delivery", number: int, tag: bytes) -> None:
        self.number = number
        self.flow: Flow | None = None
        self.has_ended = False
        self.stdout_size = 0
        self.rests: dict[int, bytes] = {}
        self.pauses: set[str] = set()
        self._delivery = delivery
        self._block: Block | FileBlock | None = None
        self._tags = _Tags(tag) if tag else None

    def feed(self, fd: int, data: bytes) -> None:
        """Take what the command has written to standard output (1) or standard error (2)."""
        if data:
            if fd == 1:
                self.stdout_size += len(data)
            self._delivery.take(self, fd, data if self._tags is None else self._tags.tagged(fd, data))

    @property
    def held(self) -> int:
        """How many bytes wait."""
        return 0 if self._block is None else self._block.size

    def started(self, flow: Flow | None) -> None:
        """Note what pauses the command; None if it does not run any more."""
        self.flow = flow
        if flow is not None and self.pauses:
            flow.pause_output()

    def hold(self, spool: Spool, fd: int, data: bytes) -> None:
        """Keep bytes until they are written; `OSError` if they cannot be kept."""
        if self._block is None:
            self._block = spool.block()
        assert isinstance(self._block, Block)
        self._block.add(fd, data)

    def attach(self, files: Sequence[Path]) -> None:
        """Have the contents of files come after what is held: that of standard output, and of standard error."""
        edit = None if self._tags is None else self._tags.tagged
        self._block = FileBlock(files, edit, self._block)

    def release(self) -> Block | FileBlock | None:
        """Return what was held."""
        block, self._block = self._block, None
        return block

    def pause(self, reason: str) -> None:
        """Have the command wait, for this reason too."""
        if not self.pauses and self.flow is not None and not self.has_ended:
            self.flow.pause_output()
        self.pauses.add(reason)

    def resume(self, reason: str) -> None:
        """Have the command go on if there is no other reason to wait."""
        if reason in self.pauses:
            self.pauses.discard(reason)
            if not self.pauses and self.flow is not None:
                self.flow.resume_output()


class _Tags:
    """Puts a tag before each line."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag + b"\t"
        self._within_a_line: set[int] = set()

    def tagged(self, fd: int, data: bytes) -> bytes:
        head = b"" if fd in self._within_a_line else self._tag
        has_line_end = data.endswith(b"\n")
        body = (data[:-1] if has_line_end else data).replace(b"\n", b"\n" + self._tag)
        if has_line_end:
            self._within_a_line.discard(fd)
            return head + body + b"\n"
        self._within_a_line.add(fd)
        return head + body


class Delivery:
    """Passes the outputs of commands to the writer.

    Args:
        writer: writes them.
        on_trouble: called when output that has to wait cannot be stored.
        grouping: how they are kept apart.
        keep_order: whether they are written in the order of the commands' numbers.
        limit: how many bytes may wait until the commands that write them wait.
    """

    def __init__(
        self,
        writer: Writer,
        on_trouble: Callable[[OSError], None],
        *,
        grouping: Grouping = Grouping.LIVE,
        keep_order: bool = False,
        limit: int = SPOOL,
    ) -> None:
        self._writer = writer
        self._on_trouble = on_trouble
        self._by_line = grouping is Grouping.LINES and not keep_order
        self._is_live = grouping is not Grouping.WHOLE
        self._keep_order = keep_order
        self._limit = limit
        self._spool = Spool()
        self._turn: CommandOutput | None = None
        self._next = 1
        self._in_order: dict[int, CommandOutput] = {}
        self._ended: list[CommandOutput] = []
        self._holding: dict[CommandOutput, None] = {}
        self._paused: set[CommandOutput] = set()

    def open(self, number: int, *, tag: bytes = b"") -> CommandOutput:
        """Return what takes the output of a command.

        Args:
            number: the number of the command.
            tag: what stands before each line, and a tab after it; nothing for no tag.
        """
        if not self._keep_order:
            return CommandOutput(self, number, tag)
        if number not in self._in_order:
            self._in_order[number] = CommandOutput(self, number, tag)
        return self._in_order[number]

    def close(self, output: CommandOutput, *, runs_again: bool = False) -> None:
        """Tell that a command has ended, and all of its output has come.

        Args:
            output: the output of the command.
            runs_again: whether the command will be run again, so that in the order of numbers others still wait for it.
        """
        self._paused.discard(output)
        output.pauses = set()
        for fd, rest in output.rests.items():
            self._writer.write(fd, rest)
        output.rests = {}
        if runs_again and self._keep_order:
            output.started(None)
            self._resume("spool")
            return
        output.has_ended = True
        output.flow = None
        self._holding.pop(output, None)
        if self._by_line:
            self._flush(output)
            self._writer.end_block()
        elif self._keep_order:
            if output.number == self._next:
                self._pass_on_in_order()
        elif output is self._turn:
            self._writer.end_block()
            self._pass_on()
        elif self._turn is None:
            self._flush(output)
        elif output.held:
            self._ended.append(output)

    def relieve(self) -> None:
        """Have commands go on that wait for the writer."""
        if not self._writer.is_behind:
            self._resume("writer")
        if self._spool.held <= self._limit // 2:
            self._resume("spool")

    def take(self, output: CommandOutput, fd: int, data: bytes) -> None:
        """Write the output of a command, or keep it until its turn."""
        if self._by_line:
            self._write_lines(output, fd, data)
            return
        if self._is_live and self._turn is None and self._is_due(output):
            self._give_turn(output)
        if output is self._turn:
            self._write(output, fd, data)
            return
        try:
            output.hold(self._spool, fd, data)
        except OSError as error:
            self._on_trouble(error)
        self._holding[output] = None
        if self._spool.held > self._limit:
            self._hold_back(output)

    def _is_due(self, output: CommandOutput) -> bool:
        return not self._keep_order or output.number == self._next

    def _write(self, output: CommandOutput, fd: int, data: bytes) -> None:
        if self._writer.write(fd, data):
            self._pause(output, "writer")

    def _write_lines(self, output: CommandOutput, fd: int, data: bytes) -> None:
        data = output.rests.pop(fd, b"") + data
        end = data.rfind(b"\n") + 1 or (len(data) if len(data) > LONGEST_LINE else 0)
        if end < len(data):
            output.rests[fd] = data[end:]
        if end:
            self._write(output, fd, data[:end])

    def _hold_back(self, output: CommandOutput) -> None:
        """Have a command wait since too much output waits, or write what it has; never wait for one that cannot run."""
        if self._turn is None and self._is_due(output):
            self._give_turn(output)
        elif self._writer.is_behind or (self._turn is not None and self._turn.flow is not None):
            self._pause(output, "spool")

    def _pause(self, output: CommandOutput, reason: str) -> None:
        output.pause(reason)
        self._paused.add(output)

    def _resume(self, reason: str) -> None:
        for output in list(self._paused):
            output.resume(reason)
            if not output.pauses:
                self._paused.discard(output)

    def _give_turn(self, output: CommandOutput) -> None:
        self._turn = output
        self._holding.pop(output, None)
        self._flush(output)
        output.resume("spool")

    def _flush(self, output: CommandOutput) -> None:
        if (block := output.release()) is not None:
            self._writer.write_block(block)

    def _pass_on(self) -> None:
        """Write what has waited for the one that has ended, and let the next one write while it runs."""
        self._turn = None
        ended, self._ended = self._ended, []
        for output in ended:
            self._flush(output)
            self._writer.end_block()
        if self._is_live and (first := next(iter(self._holding), None)) is not None:
            self._give_turn(first)

    def _pass_on_in_order(self) -> None:
        self._turn = None
        while (output := self._in_order.get(self._next)) is not None:
            if not output.has_ended:
                if output.held and self._is_live:
                    self._give_turn(output)
                return
            self._flush(output)
            self._writer.end_block()
            del self._in_order[self._next]
            self._next += 1
