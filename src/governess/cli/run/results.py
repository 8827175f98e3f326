"""A folder with the outputs of all commands, in the places where GNU parallel puts them (`--results`)."""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from governess.cli.run.item_jobs import item_of
from governess.jobs import Attempt, Files

__all__ = ["Results"]

_LONGEST = 240  # bytes of a name, of the 255 that file systems take
_ESCAPES = str.maketrans({"\\": "\\\\", "/": "\\_", "\t": "\\t", "\0": "\\0"})


class Results:
    """Has each command write into files of a folder: `1/ARGUMENT/stdout`, `stderr` and `seq`.

    Args:
        folder: the folder, which is made.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def files(self, attempt: Attempt) -> Files:
        """Return the files of a command, in a folder that is made.

        Raises:
            OSError: that cannot be made.
        """
        folder = self._folder.joinpath(*_parts(attempt))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "seq").write_text(str(attempt.number))
        return Files(folder / "stdout", folder / "stderr")

    def keep(self, attempt: Attempt) -> None:
        """Give a command that has written into a journal its files here, too.

        Raises:
            OSError: they cannot be made.
        """
        if not isinstance(attempt.output, Files):
            return
        for source, target in zip(attempt.output, self.files(attempt), strict=True):
            target.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):  # it could not be started
                try:
                    os.link(source, target)
                except FileNotFoundError:
                    raise
                except OSError:  # another file system
                    shutil.copyfile(source, target)


def _parts(attempt: Attempt) -> list[str]:
    item = item_of(attempt.job)
    if item is None or not item.arguments:
        return [_escaped(attempt.job.name) or str(attempt.number)]
    return [part for place, value in enumerate(item.arguments, 1) for part in (str(place), _escaped(value))]


def _escaped(value: str) -> str:
    """Return a name of a file for an argument; dots alone would be another folder."""
    name = value.translate(_ESCAPES)
    if name in ("", ".", ".."):
        return f"\\{name}" if name else "\\0"
    whole = os.fsencode(name)
    if len(whole) <= _LONGEST:
        return name
    return f"{whole[: _LONGEST - 34].decode(errors='ignore')}~{hashlib.blake2b(whole, digest_size=16).hexdigest()}"
