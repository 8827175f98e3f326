"""What tells a job from all others, whatever stands before and after it in a plan."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from governess.jobs._job import Command, Job

__all__ = ["Keys", "packed_command", "unpacked_command"]


class Keys:
    """Gives each job of a plan its key.

    A key is a hash of what is run, where, with which given variables and input, and of the name; equal jobs are told
    apart by their order. So inserting, removing and reordering jobs changes no key of another job.
    """

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def of(self, job: Job, is_line: bool, packed: bytes) -> bytes:
        """Return the key of the next job.

        Args:
            job: the job.
            is_line: whether its command is a line for the shell.
            packed: its command in no slot, by `packed_command`.
        """
        parts = [b"\x01" if is_line else b"\x02", packed]
        if job.name or job.cwd is not None or job.env or job.stdin is not None:
            parts += [b"\x03", os.fsencode(job.name), os.fsencode(job.cwd or "")]
            parts += [os.fsencode(f"{name}={value}") for name, value in sorted((job.env or {}).items())]
            if isinstance(job.stdin, Path):
                parts += [b"\x04", os.fsencode(job.stdin)]
            elif job.stdin is not None:
                parts += [b"\x05", hashlib.blake2b(job.stdin, digest_size=16).digest()]
        plain = hashlib.blake2b(b"\x00\x00".join(parts), digest_size=16).digest()
        count = self._seen.get(plain, 0)
        self._seen[plain] = count + 1
        return plain if not count else plain + count.to_bytes(4, "big")


_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def packed_command(command: Command) -> bytes:
    """Return a command as bytes, also one with bytes that are no text."""
    return (command if isinstance(command, str) else "\0".join(command)).encode(_ENCODING, _ERRORS)


def unpacked_command(packed: bytes, is_line: bool) -> Command:
    """Return the command that `packed_command` has made these bytes of."""
    return os.fsdecode(packed) if is_line else tuple(map(os.fsdecode, packed.split(b"\0")))
