"""The output of the commands: held until its turn, and written by one thread."""

from governess.cli.run.output.delivery import CommandOutput, Delivery, Flow, Grouping
from governess.cli.run.output.spool import Block, Spool
from governess.cli.run.output.writer import Writer

__all__ = ["Block", "CommandOutput", "Delivery", "Flow", "Grouping", "Spool", "Writer"]
