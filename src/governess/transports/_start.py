"""Starting a child in a loop: `loop.subprocess_exec` and `loop.subprocess_shell`, for any loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from governess._registry import get_event_loop_policy
from governess.abc import AbstractChildWatcher, AbstractEventLoopPolicy
from governess.children._reaper import reap_later
from governess.children._spawn import spawn
from governess.children._spawn.command import Command
from governess.transports._loop_children import loop_children
from governess.transports._transport import ChildTransport
from governess.watchers._choice import choose_watcher

__all__ = ["start_child", "watcher_of"]

logger = logging.getLogger("governess")

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


async def start_child(
    loop: asyncio.AbstractEventLoop,
    protocol_factory: Callable[[], ProtocolT],
    command: Command,
    ends: dict[int, int] | None = None,
) -> tuple[ChildTransport, ProtocolT]:
    """Start a child, have the watcher of the loop's policy watch it, and connect it with a new protocol.

    Cancelled at whichever point, it leaves nothing behind.

    Args:
        loop: the loop, which runs.
        protocol_factory: makes the protocol.
        command: what is started.
        ends: our descriptors of what the child has as 0, 1 or 2, if that is no pipe but a terminal; those of a child
            that was born are taken out, and are not the caller's any more.

    Raises:
        RuntimeError: the watcher is not active; then there is no child.
        OSError: as `subprocess.Popen` raises it; so its other errors.
    """
    protocol: Any = protocol_factory()
    if loop.get_debug():
        logger.debug("run %r", command)
    watcher = watcher_of(loop)
    spawned = transport = None
    try:
        with watcher:
            if not watcher.is_active():
                raise _inactive(watcher)
            spawned = await spawn(command)
            if ends:
                spawned.pipes.update(ends)
                ends.clear()
            transport = ChildTransport(loop, protocol, command.args, spawned)
            spawned.claim()
            loop_children(loop).watch(watcher, spawned.child, transport)
        await transport.connect()
    except BaseException:  # KeyboardInterrupt, too, at whichever line
        if transport is not None:
            transport.close()
        if spawned is not None:
            spawned.discard()
            reap_later(spawned.child)  # the loop may end before it
        raise
    return transport, protocol


def _inactive(watcher: AbstractChildWatcher) -> RuntimeError:
    return RuntimeError(
        f"the child watcher {watcher!r} is not active: attach a loop that runs, "
        "or use one that needs none (subprocess support is not installed)"
    )


def watcher_of(loop: asyncio.AbstractEventLoop) -> AbstractChildWatcher:
    """Return the watcher of the policy that made the loop, else of the current one.

    It is the default watcher if the policy knows nothing of watchers.
    """
    global _default_watcher
    policy: AbstractEventLoopPolicy | None = getattr(loop, "governess_policy", None)
    if policy is None:
        policy = get_event_loop_policy()
    if (get := getattr(policy, "get_child_watcher", None)) is not None:
        with contextlib.suppress(NotImplementedError):
            return get()  # type: ignore[no-any-return]
    if _default_watcher is None:
        _default_watcher = choose_watcher().factory()
    return _default_watcher


_default_watcher: AbstractChildWatcher | None = None
