"""What a run records on disk, so that another one can go on with it."""

from governess.jobs._journal.journal import Journal
from governess.jobs._journal.recorder import JournalRecorder
from governess.jobs._journal.registration import Resumed

__all__ = ["Journal", "JournalRecorder", "Resumed"]
