"""uvloop's policy under the bridge: `get_event_loop()` at the top level, and `wait()`, as with asyncio of 3.13."""

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("uvloop")

# uvloop up to 0.21 has this policy. Later ones have one of their own, which makes no loop by itself.
POLICIES = {
    "uvloop 0.21": """
        from asyncio.events import BaseDefaultEventLoopPolicy
        class EventLoopPolicy(BaseDefaultEventLoopPolicy):
            def _loop_factory(self):
                return uvloop.new_event_loop()
    """,
    "the installed uvloop": "EventLoopPolicy = getattr(uvloop, 'EventLoopPolicy')",
}
PROGRAM = """
import asyncio, sys, uvloop, warnings
{policy}
asyncio.set_event_loop_policy(EventLoopPolicy())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        loop = asyncio.get_event_loop()
        print("made a loop")
    except RuntimeError as error:
        print(error)
        asyncio.set_event_loop(loop := asyncio.new_event_loop())
print([(warning.category.__name__, str(warning.message)) for warning in caught])
async def main():
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
    return int(await process.wait()), int(process.returncode), asyncio.get_event_loop() is loop
print(loop.run_until_complete(main()), asyncio.get_event_loop() is loop)
loop.close()
"""
# What plain asyncio of 3.13 prints.
WARNING = "[('DeprecationWarning', 'There is no current event loop')]"
MADE = ["made a loop", WARNING]
MADE_NONE = ["There is no current event loop in thread 'MainThread'.", "[]"]


def lines(program: str) -> list[str]:
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("policy", POLICIES)
def test_top_level(policy: str) -> None:
    """The policy makes a loop, or refuses to, as it does in 3.13; the loop runs a child, whose `wait()` returns 3."""
    program = PROGRAM.format(policy=textwrap.dedent(POLICIES[policy]))
    seen = lines(f"import governess; governess.install()\n{program}")
    makes_one = policy == "uvloop 0.21" or _is_before_0_22()
    assert seen[:2] == (MADE if makes_one else MADE_NONE)
    assert seen[2] == "(3, 3, True) True"
    if sys.version_info[:2] in ((3, 12), (3, 13)):
        assert lines(program)[:3] == seen[:3]


def _is_before_0_22() -> bool:
    import uvloop

    return tuple(map(int, uvloop.__version__.split(".")[:2])) < (0, 22)
