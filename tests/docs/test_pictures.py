"""The pictures of docs/how-it-works.md are those of the code of today."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from governess.children._spawn import describe

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
# Writes which functions of governess are called, while a child starts and while it ends.
TRACE = """
import asyncio, json, os, sys
import governess
from governess.subprocess import PIPE, create_subprocess_exec

package = os.path.dirname(governess.__file__) + os.sep
calls = {"START": [], "EXIT": []}

def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(package):
        module = code.co_filename.removeprefix(package).removesuffix(".py")
        calls[phase].append((module, code.co_qualname))

async def main():
    global phase
    phase = "START"
    sys.setprofile(note)
    process = await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    phase = "EXIT"
    process.stdin.close()
    assert await process.wait() == 0
    sys.setprofile(None)

with governess.DefaultEventLoopPolicy() as policy, asyncio.Runner(loop_factory=policy.new_event_loop) as runner:
    runner.run(main())
print(json.dumps(calls))
"""


@pytest.mark.parametrize("name", ["layers", "child"])
def test_drawn(name: str) -> None:
    """Each picture is what its program draws of the code: `python docs/pictures/NAME.py` draws it anew."""
    assert _program(name)["draw"]() == (FOLDER / f"{name}.svg").read_text()


@pytest.mark.skipif(describe()[0] != "native", reason="the picture shows the native spawner")
def test_way_of_a_child() -> None:
    """A child takes the steps of the picture, in their order."""
    done = subprocess.run([sys.executable, "-c", TRACE], capture_output=True, text=True, check=True)
    for phase, calls in json.loads(done.stdout).items():
        left = iter(calls)
        for step in _program("child")[phase]:
            assert [step.module, step.function] in left, (phase, step)


def _program(name: str) -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / f"{name}.py"))
