"""What asyncio's loops have inside, and others override: `_make_subprocess_transport`, `_child_watcher_callback`.

A loop that has such a method of its own is asked for it. The test costs no call: it compares with asyncio's functions.
"""

from __future__ import annotations

import asyncio
from typing import Any

from governess.children._spawn.command import command_of, shell_command_of
from governess.transports._start import start_child
from governess.transports._transport import NATIVE_HOOKS

__all__ = ["command_of", "has_own_hook", "make_subprocess_transport", "shell_command_of", "start_child"]


def has_own_hook(loop: Any) -> bool:
    """Return whether the loop has a `_make_subprocess_transport` of its own, which is to be called."""
    hook = getattr(loop, "_make_subprocess_transport", None)
    return getattr(hook, "__func__", hook) not in NATIVE_HOOKS


async def make_subprocess_transport(
    self: Any,
    protocol: asyncio.SubprocessProtocol,
    args: Any,
    shell: bool,
    stdin: Any,
    stdout: Any,
    stderr: Any,
    bufsize: int,
    extra: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Start a child by governess; the bridge puts this in place of asyncio's `_make_subprocess_transport`."""
    command = (shell_command_of if shell else command_of)(args, stdin, stdout, stderr, options | {"bufsize": bufsize})
    transport: Any = (await start_child(self, lambda: protocol, command))[0]
    transport._extra.update(extra or {})
    return transport


NATIVE_HOOKS.append(make_subprocess_transport)
