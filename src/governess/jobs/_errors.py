"""The errors of a journal and of an engine."""

from __future__ import annotations

__all__ = ["EngineError", "JournalError"]


class JournalError(Exception):
    """A journal cannot be used; the text is one line with the reason and the remedy."""


class EngineError(Exception):
    """An engine cannot be used, or can no longer be used; the text has the reason and the remedy."""
