"""Text of others, made harmless for a terminal."""

import re

__all__ = ["printable"]


def printable(text: str) -> str:
    """Escape unprintable characters, so that a file name, argument or message cannot control the terminal."""
    return text if text.isprintable() else _UNPRINTABLE.sub(_escape, text)


_UNPRINTABLE = re.compile(r"[\W_]")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return character if character.isprintable() else character.encode("unicode_escape", "backslashreplace").decode()
