"""The error of a journal."""

from __future__ import annotations

__all__ = ["JournalError"]


class JournalError(Exception):
    """A journal cannot be used; the text is one line that says why, and what to do."""
