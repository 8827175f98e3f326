"""The two errors of input: of the call as a whole, and of one argument."""

__all__ = ["ArgumentError", "SourceError"]


class SourceError(ValueError):
    """The words, options or files name no command that can run; the text is one line for the user."""


class ArgumentError(ValueError):
    """One argument cannot be put into the command; the text is one line for the user."""
