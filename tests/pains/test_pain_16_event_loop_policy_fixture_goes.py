"""Pain 16: pytest-asyncio removes its `event_loop_policy` fixture.

Told in pytest-dev/pytest-asyncio#1419, pytest-dev/pytest-asyncio#1517.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncio_version import SIMULATED
from pains.choice import class_of
from pains.verdict import DoesNotApply, Hurts

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

#: With the setting without which it warns.
PYTEST_ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")

GOVERNESS = """
    import asyncio, pytest

    @pytest.mark.asyncio
    async def test(event_loop_policy_matrix):
        loop = asyncio.get_running_loop()
        assert loop.governess_policy is event_loop_policy_matrix
        assert {module!r} in [base.__module__.partition(".")[0] for base in type(loop).__mro__]
    """

ASYNCIO = """
    import asyncio, pytest, {module}

    class Policy({policy}):
        def new_event_loop(self):
            self.loop = super().new_event_loop()
            return self.loop

    @pytest.fixture
    def event_loop_policy():
        return Policy()

    @pytest.mark.asyncio
    async def test(event_loop_policy):
        assert asyncio.get_running_loop() is event_loop_policy.loop
    """

ANYIO = """
    import asyncio, pytest, uvloop

    @pytest.fixture
    def anyio_backend():
        return "asyncio", {"loop_factory": uvloop.Loop}

    @pytest.mark.anyio
    async def test(anyio_backend):
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    """


def on_governess(loop_factory: LoopFactory) -> str:
    module = class_of(loop_factory).__module__.partition(".")[0]
    passes(
        GOVERNESS.format(module=module),
        f"--governess-policies=default+{module}",
        "-p",
        "governess.pytest_plugin",
        *PYTEST_ASYNCIO,
    )
    return "the fixture event_loop_policy_matrix gives the policy whose loop runs the test"


def on_asyncio(_: LoopFactory) -> str:
    passes(ASYNCIO.format(module="asyncio", policy="asyncio.DefaultEventLoopPolicy"), *PYTEST_ASYNCIO)
    return "the fixture event_loop_policy is taken"


def on_uvloop(_: LoopFactory) -> str:
    passes(ASYNCIO.format(module="uvloop", policy="uvloop.EventLoopPolicy"), *PYTEST_ASYNCIO)
    return "the fixture event_loop_policy is taken"


def on_trio() -> str:
    import trio

    assert not hasattr(trio, "set_event_loop_policy")
    raise DoesNotApply("has no policies")


def on_anyio() -> str:
    passes(ANYIO, "-p", "anyio.pytest_plugin")
    return "has no policies; its fixture anyio_backend takes a loop factory"


def passes(tests: str, *options: str) -> None:
    """Run the tests with warnings as errors, and with no plugin but those that are named."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *options]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_loop.py").write_text(textwrap.dedent(tests))
        environment = os.environ | {"PYTHONWARNINGS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
        complaints = re.findall(r"^E\s+(\w.*)", done.stdout, re.MULTILINE)
        assert complaints, done.stdout + done.stderr
        raise Hurts(complaints[0])


@pytest.mark.skipif(SIMULATED, reason="pytest-asyncio asks for the policies that 3.16 has not")
def test_pain_16_event_loop_policy_fixture_goes(relief: Callable[..., str]) -> None:
    """A plugin runs asynchronous tests in a loop of each chosen policy, by a hook that pytest-asyncio still has."""
    pytest.importorskip("pytest_asyncio")
    relief(on_governess)
