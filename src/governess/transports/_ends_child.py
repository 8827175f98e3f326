"""What signals a child and lets go of it, through its transport."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any

from governess.children._reaper import reap_later
from governess.transports._popen_view import PopenView

if TYPE_CHECKING:
    from governess.children._child import Child
    from governess.children._group import Group
    from governess.transports._child_pipe import PipeEnd

__all__ = ["EndsChild"]


class EndsChild(asyncio.SubprocessTransport):
    """The part of a child's transport that signals the child and lets go of it, with its group if that is kept.

    `ChildTransport` sets the attributes, and tells what they are.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        child: Child
        group: Group | None
        pipes: dict[int, Any]
        finished: bool
        _args: Any
        _ends: dict[int, PipeEnd]
        _loop: asyncio.AbstractEventLoop
        _returncode: int | None

        def _close_pipes(self) -> None: ...

    def send_signal(self, signal: int) -> None:
        """Send the signal to the child, and never to another process that has its number.

        Raises:
            ProcessLookupError: the connection to the child is lost, since it has exited.
        """
        if self.finished:
            raise ProcessLookupError
        with contextlib.suppress(ProcessLookupError):
            self.child.signal(signal)

    def terminate(self) -> None:
        """Ask the child to end, as `Child.terminate`; errors as `send_signal`."""
        if self.finished:
            raise ProcessLookupError
        with contextlib.suppress(ProcessLookupError):
            self.child.terminate()

    def kill(self) -> None:
        """End the child, as `Child.kill`; errors as `send_signal`."""
        if self.finished:
            raise ProcessLookupError
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()

    def kill_group(self) -> None:
        """Kill the group, if that is kept, and release it; the child may have ended before."""
        if self.group is not None:
            try:
                self.group.kill()
            finally:
                self.group.close()

    def detach(self) -> None:
        """Close the pipes, and let the child live, and its group."""
        self._close_pipes()
        if self.group is not None:
            self.group.detach()

    def abort_pipes(self) -> bool:
        """Close the pipes in the loop's next iteration, drop unwritten data; return whether there were any pipes."""
        connected = False
        for number, pipe in self.pipes.items():
            if pipe is not None and pipe.transport is not None and not pipe.disconnected:
                connected = True
                (pipe.transport.close if number else pipe.transport.abort)()
        return connected

    def close_descriptors(self) -> None:
        """Close our ends of all pipes, now that the loop is closed, if it has not done so."""
        for end in self._ends.values():
            end.close()

    def _kill(self) -> None:
        reap_later(self.child)  # perhaps nobody else watches it yet
        # PermissionError: the child runs setuid.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.child.kill()
        self.kill_group()

    @functools.cached_property
    def _popen_view(self) -> PopenView:
        return PopenView(self.child, self._args, self._ends)
