"""The options about what is run."""

from dataclasses import dataclass, field

from governess.cli.run.inputs.batches import Batching
from governess.cli.run.inputs.pipe import Piping
from governess.cli.run.inputs.records import Format

__all__ = ["InputOptions"]


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
