"""Each scope against a model of it: threads and contexts that set, ask and copy, in any order."""

import asyncio
import contextvars
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("hypothesis does not run there", allow_module_level=True)

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from governess.policies import ContextScope, ProcessScope, ThreadScope


class OpenLoop(asyncio.AbstractEventLoop):
    """A loop of which scopes ask only whether it is closed."""

    def is_closed(self) -> bool:
        return False


LOOPS = [OpenLoop() for _ in range(3)]
loops = st.sampled_from([None, *LOOPS])
threads = st.integers(0, 2)


class Threads(RuleBasedStateMachine):
    """Three threads, in each of which a scope can be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = [ThreadPoolExecutor(1) for _ in range(3)]
        self.thread_scope, self.process_scope = ThreadScope(), ProcessScope()
        self.own: list[Any] = [None] * 3
        self.shared: Any = None

    @rule(thread=threads, loop=loops)
    def set(self, thread: int, loop: Any) -> None:
        for scope in self.thread_scope, self.process_scope:
            self.threads[thread].submit(scope.set, loop).result()
        self.own[thread] = loop

    @rule(thread=threads, loop=loops)
    def share(self, thread: int, loop: Any) -> None:
        self.threads[thread].submit(self.process_scope.share, loop).result()
        self.shared = loop

    @invariant()
    def each_thread_sees_its_own_else_the_shared_loop(self) -> None:
        for thread, own in zip(self.threads, self.own, strict=True):
            assert thread.submit(self.thread_scope.get).result() is own
            assert thread.submit(self.process_scope.get).result() is (self.shared if own is None else own)

    def teardown(self) -> None:
        for thread in self.threads:
            thread.shutdown()


class Contexts(RuleBasedStateMachine):
    """Contexts, copies of each other, in which a scope can be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.scope = ContextScope()
        self.contexts = [contextvars.Context()]
        self.expected: list[Any] = [None]
        self.was_set = [False]

    @rule(context=st.integers(0), loop=loops)
    def set(self, context: int, loop: Any) -> None:
        index = context % len(self.contexts)
        self.contexts[index].run(self.scope.set, loop)
        self.expected[index], self.was_set[index] = loop, True

    @rule(context=st.integers(0))
    def copy(self, context: int) -> None:
        index = context % len(self.contexts)
        self.contexts.append(self.contexts[index].copy())
        self.expected.append(self.expected[index])
        self.was_set.append(self.was_set[index])

    @invariant()
    def each_context_sees_what_it_or_its_origin_has_set(self) -> None:
        for context, expected, was_set in zip(self.contexts, self.expected, self.was_set, strict=True):
            assert context.run(self.scope.get) is expected
            assert context.run(self.scope.may_create) is not was_set


Threads.TestCase.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
Contexts.TestCase.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)


class TestThreads(Threads.TestCase):
    """A thread sees the loop that it has set, else the shared one, if the scope knows of such."""


class TestContexts(Contexts.TestCase):
    """A context sees the loop that it has set, else that of the one it is a copy of, as it was then."""
