"""The simulated 3.16 is what it says: an asyncio without policies, in which governess works.

The session `simulated-3.16` of nox runs all other tests in it.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

import governess
from asyncio_version import SIMULATED

FOLDER = Path(__file__).parents[1] / "simulated_316"

LOOK = """
import asyncio, _asyncio
from asyncio import events

modules = [asyncio, events, asyncio.unix_events, asyncio.runners]
assert not [name for module in modules for name in (*vars(module), *module.__all__) if "olicy" in name]
for name in ("AbstractEventLoopPolicy", "DefaultEventLoopPolicy", "ThreadedChildWatcher"):
    assert not hasattr(asyncio, name)

asks = [
    asyncio.get_event_loop, events.get_event_loop, events._py_get_event_loop, events._c_get_event_loop,
    _asyncio.get_event_loop, lambda: asyncio.Future().get_loop(), lambda: asyncio.futures._PyFuture().get_loop(),
]

def answers():
    for ask in asks:
        try:
            yield ask()
        except RuntimeError as error:
            assert "no current event loop in thread 'MainThread'" in str(error)
            yield None
"""

NATIVE = """
assert set(answers()) == {None}
loop = asyncio.new_event_loop()
assert type(loop) is asyncio.EventLoop
asyncio.set_event_loop(loop)
assert set(answers()) == {loop}
asyncio.set_event_loop(None)
assert set(answers()) == {None}
loop.close()
assert asyncio.run(asyncio.sleep(0, 5)) == 5
"""

BRIDGED = """
import governess, warnings

asyncio.set_event_loop(native := asyncio.new_event_loop())
governess.install()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    [made] = set(answers())
assert made is governess.get_event_loop_policy().get_event_loop() is not native
governess.get_event_loop_policy().close()
governess.uninstall()
assert set(answers()) == {native}
native.close()
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="an older asyncio is too far from 3.16")
@pytest.mark.parametrize("script", [NATIVE, BRIDGED], ids=["native", "bridged"])
def test_simulated_asyncio(script: str) -> None:
    """No name of a policy is there; who asks for the current loop is told what this thread has set, or the policy's."""
    environment = {**os.environ, "PYTHONPATH": str(FOLDER)}
    command = [sys.executable, "-W", "error", "-c", LOOK + script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not SIMULATED, reason="nothing is simulated here")
def test_simulated_here() -> None:
    """Where the tests are told to run in the simulation, they do, and their children too."""
    assert not hasattr(asyncio, "get_event_loop_policy")
    assert governess.AbstractEventLoopPolicy.__mro__[1:] == (object,)
    child = [sys.executable, "-c", "import asyncio; print(hasattr(asyncio, 'get_event_loop_policy'))"]
    assert subprocess.run(child, capture_output=True, text=True, timeout=60).stdout == "False\n"
