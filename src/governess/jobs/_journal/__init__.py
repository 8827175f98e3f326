"""What a run records on disk, so that another one can go on with it."""

from governess.jobs._journal.journal import Journal, Resumed
from governess.jobs._journal.recorder import JournalRecorder

__all__ = ["Journal", "JournalRecorder", "Resumed"]
