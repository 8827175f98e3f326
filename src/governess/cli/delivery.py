"""When the output of a command is written: at its end, or when all commands before it have been written."""

from collections.abc import Callable

from governess.cli.block import Block, Spill
from governess.cli.schedule import InOrder
from governess.cli.writer import Writer

__all__ = ["Blocks", "Delivery"]

Blocks = list[Block | None]
"""What a command wrote to standard output and to standard error."""

HELD_IN_MEMORY = 2**25


class Delivery:
    """Hands output to the writer.

    Args:
        writer: Writes it.
        on_trouble: Called when what has to wait cannot be kept.
        keep_order: Whether it is written in the order of the commands' numbers.
    """

    def __init__(self, writer: Writer, on_trouble: Callable[[OSError], None], *, keep_order: bool) -> None:
        self._writer = writer
        self._on_trouble = on_trouble
        self._order: InOrder[Blocks] | None = InOrder() if keep_order else None
        self._held = 0
        self._shelf: Spill | None = None

    def put(self, number: int, blocks: Blocks) -> None:
        """Write a command's output, or keep it until its turn."""
        if self._order is None:
            self._write(blocks)
            return
        if not self._order.is_next(number):
            self._hold(blocks)
        for due in self._order.add(number, blocks):
            if due is not blocks:
                self._held -= sum(block.in_memory for block in due if block)
            self._write(due)

    def _write(self, blocks: Blocks) -> None:
        for descriptor, block in enumerate(blocks, 1):
            if block is not None:
                self._writer.write(descriptor, block)

    def _hold(self, blocks: Blocks) -> None:
        """Bound the memory and the descriptors: what waits shares one file, once it is much."""
        for block in filter(None, blocks):
            self._held += block.in_memory
            if block.in_memory and self._held <= HELD_IN_MEMORY:
                continue
            self._held -= block.in_memory
            try:
                self._shelf = self._shelf or Spill()
                block.move_to(self._shelf)
            except OSError as error:
                self._on_trouble(error)
