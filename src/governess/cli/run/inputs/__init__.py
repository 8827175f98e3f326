"""What is run: arguments from files, words and standard input, put into commands."""

from governess.cli.run.inputs.batches import Batching
from governess.cli.run.inputs.errors import ArgumentError, SourceError
from governess.cli.run.inputs.options import InputOptions
from governess.cli.run.inputs.pipe import Piping
from governess.cli.run.inputs.plan import Item, Plan
from governess.cli.run.inputs.planner import make_plan
from governess.cli.run.inputs.records import Format, parse_delimiter
from governess.cli.run.inputs.templates import Fill

__all__ = [
    "ArgumentError",
    "Batching",
    "Fill",
    "Format",
    "InputOptions",
    "Item",
    "Piping",
    "Plan",
    "SourceError",
    "make_plan",
    "parse_delimiter",
]
