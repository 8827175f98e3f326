"""The errors of a journal and of an engine."""

from __future__ import annotations

__all__ = ["EngineError", "JournalError"]


class JournalError(Exception):
    """A journal cannot be used; the text is one line that says why, and what to do."""


class EngineError(Exception):
    """What runs the jobs cannot be used, or not any more; the text says why, and what to do."""
