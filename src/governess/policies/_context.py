"""The policy whose current loop belongs to the context."""

from __future__ import annotations

from collections.abc import Callable

from governess.abc import AbstractChildWatcher
from governess.loops._choose import LoopFactory
from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._scopes import ContextScope

__all__ = ["ContextEventLoopPolicy"]


class ContextEventLoopPolicy(DefaultEventLoopPolicy):
    """The current loop belongs to the `contextvars` context, not to the thread."""

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine the other two choices, as `DefaultEventLoopPolicy` does."""
        super().__init__(loop_factory, scope=ContextScope(), watcher=watcher)
