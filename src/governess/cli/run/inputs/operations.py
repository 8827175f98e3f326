"""What replacement strings do with an argument, which they take for a path."""

import os
import re
from collections.abc import Callable, Mapping
from functools import partial

__all__ = ["OPERATIONS"]

_SEPARATORS = r"/\\" if os.name == "nt" else "/"
_UP_TO_BASENAME = re.compile(rf".*[{_SEPARATORS}]", re.DOTALL)
_EXTENSIONS = [re.compile(rf"(?:\.[^.{_SEPARATORS}]*){{{count}}}\Z") for count in range(4)]
_KEPT = [re.compile(rf".*\.([^.{_SEPARATORS}]*(?:\.[^.{_SEPARATORS}]*){{{count}}})\Z", re.DOTALL) for count in range(3)]
_LAST_PART = re.compile(rf"[{_SEPARATORS}][^{_SEPARATORS}]*\Z")


def _itself(argument: str) -> str:
    return argument


def _without_extensions(argument: str, count: int) -> str:
    return _EXTENSIONS[count].sub("", argument, count=1)


def _basename(argument: str) -> str:
    return _UP_TO_BASENAME.sub("", argument)


def _bare_name(argument: str, count: int) -> str:
    return _without_extensions(_basename(argument), count)


def _extensions(argument: str, count: int) -> str:
    match = _KEPT[count - 1].match(argument)
    return match[1] if match else ""


def _directory(argument: str) -> str:
    """Return the directory as dirname(1) does: `.` for a bare name; trailing slashes are ignored."""
    stripped = argument.rstrip("/" + os.sep)
    if argument and not stripped:
        return argument[0]
    return os.path.dirname(stripped) or "."


def _folder(argument: str) -> str:
    """Return what stands before the last slash; nothing for a bare name."""
    match = _LAST_PART.search(argument)
    return argument[: match.start()] if match else ""


OPERATIONS: Mapping[str, Callable[[str], str]] = {
    "": _itself,
    ".": partial(_without_extensions, count=1),
    "..": partial(_without_extensions, count=2),
    "...": partial(_without_extensions, count=3),
    "/": _basename,
    "/.": partial(_bare_name, count=1),
    "/..": partial(_bare_name, count=2),
    "/...": partial(_bare_name, count=3),
    "//": _directory,
    "+/": _folder,
    "+.": partial(_extensions, count=1),
    "+..": partial(_extensions, count=2),
    "+...": partial(_extensions, count=3),
}
"""What each operation makes of an argument, as in GNU parallel."""
