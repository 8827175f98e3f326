"""What a program finds in asyncio under `governess python`, and who starts its children."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run

posix = pytest.mark.skipif(sys.platform == "win32", reason="watchers, uvloop and fork are POSIX's")

SHOW = "import asyncio; loop = asyncio.new_event_loop(); print(type(loop).__name__); loop.close()"
SHOW_WATCHER = "import asyncio; print(type(asyncio.get_child_watcher()).__name__)"

CHILD = """
import asyncio, governess, os, sys

async def child():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
    return await process.wait()

returncode = asyncio.run(child())
print(int(returncode), isinstance(returncode, governess.Exit))
"""


def out(governess: Run, *words: str, input: str = "") -> str:
    done = governess("python", *words, input=input)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.rstrip()


@pytest.mark.windows
def test_every_name_is_there(governess: Run) -> None:
    """The names of policies are governess's, on every version, and none warns."""
    code = (
        "import asyncio, governess, warnings; warnings.simplefilter('error'); from asyncio import *; "
        "print(asyncio.DefaultEventLoopPolicy is governess.DefaultEventLoopPolicy is DefaultEventLoopPolicy, "
        "asyncio.get_event_loop_policy() is governess.get_event_loop_policy())"
    )
    assert out(governess, "-c", code) == "True True"


@posix
def test_children_are_governesses(governess: Run) -> None:
    """asyncio's children are started and watched by governess."""
    assert out(governess, "-c", CHILD) == "7 True"


@pytest.mark.windows
@pytest.mark.parametrize("words", [[], ["--loop", "asyncio"]])
def test_default_loop(governess: Run, words: list[str]) -> None:
    """The loop is asyncio's own default, where nothing else is asked for."""
    plain = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True).stdout
    expected = plain.strip().replace("_UnixSelectorEventLoop", "SelectorEventLoop")
    assert out(governess, *words, "-c", SHOW) in (expected, plain.strip())


@pytest.mark.windows
def test_loop_of_a_neighbour(governess: Run, tmp_path: Path) -> None:
    """`--loop module:factory` finds a module beside the script."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "own.py").write_text("import asyncio\nclass Own(asyncio.SelectorEventLoop): pass")
    (tmp_path / "sub" / "script.py").write_text(SHOW)
    assert out(governess, "--loop", "own:Own", "sub/script.py") == "Own"


@posix
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--watcher", "threaded"], "ThreadedChildWatcher"),
        (["--watcher=multiloop"], "MultiLoopChildWatcher"),
        (["--watcher", "safe"], "SafeChildWatcher"),
        (["--watcher", "safe", "--watcher", "fast"], "FastChildWatcher"),
    ],
)
def test_watcher(governess: Run, words: list[str], expected: str) -> None:
    """`--watcher` names the watcher of all loops; the last one counts."""
    assert out(governess, *words, "-c", SHOW_WATCHER) == expected
    assert out(governess, *words, "-c", CHILD) == "7 True"


@posix
def test_the_programs_choice_wins(governess: Run) -> None:
    """A policy and a watcher that the program sets take the place of those of the command line."""
    code = f"""if True:
        import asyncio
        class Policy(asyncio.DefaultEventLoopPolicy):
            pass
        asyncio.set_event_loop_policy(Policy())
        print(type(asyncio.get_event_loop_policy()).__name__)
        asyncio.set_child_watcher(asyncio.SafeChildWatcher())
        {SHOW_WATCHER}
    """
    assert out(governess, "--watcher", "threaded", "-c", code).split() == ["Policy", "SafeChildWatcher"]


@posix
@pytest.mark.parametrize("program", ["script.py", "-"])
def test_what_it_starts_itself_is_plain_python(governess: Run, tmp_path: Path, program: str) -> None:
    """A Python that the program starts by sys.executable is not under the bridge."""
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; print(*sys.modules)'])"
    (tmp_path / "script.py").write_text(script)
    assert "governess" not in out(governess, program, input=script)


def test_the_command_and_the_module(tmp_path: Path) -> None:
    """`governess python` and `python -m governess python` are the same."""
    command = Path(sys.executable).parent / "governess"
    if not command.exists():
        pytest.skip("governess is not installed as a command")
    code = "import sys; print(sys.argv, sys.path[0], __name__, dir()); sys.exit(5)"
    first, second = (
        subprocess.run([*way, "python", "-c", code, "x"], capture_output=True, text=True, cwd=tmp_path)
        for way in ([command], [sys.executable, "-m", "governess"])
    )
    assert (first.returncode, first.stdout, first.stderr) == (second.returncode, second.stdout, second.stderr)
    assert first.returncode == 5


#: uvloop calls Python's fork hooks when it starts a child; governess forks nothing that runs Python.
FORKS = """
import os
forks = []
os.register_at_fork(before=lambda: forks.append("fork"))
""" + CHILD.replace("print(", "print(type(loop).__module__, forks, ").replace(
    "returncode = asyncio.run(child())",
    "loop = asyncio.new_event_loop()\nreturncode = loop.run_until_complete(child())\nloop.close()",
)


@posix
class TestUvloop:
    @pytest.fixture(autouse=True)
    def _uvloop(self) -> None:
        pytest.importorskip("uvloop")

    def test_children_are_not_forked(self, governess: Run, tmp_path: Path) -> None:
        """With `--loop uvloop` governess starts the children; plain uvloop runs the fork hooks for the same program."""
        assert out(governess, "--loop", "uvloop", "-c", FORKS).endswith("[] 7 True")
        plain = f"import asyncio, uvloop\nasyncio.new_event_loop = uvloop.new_event_loop\n{FORKS}"
        done = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, cwd=tmp_path)
        assert done.stdout == "uvloop ['fork'] 7 False\n"

    @pytest.mark.parametrize("loop", ["uvloop", "auto", "uvloop:Loop", "uvloop:new_event_loop"])
    def test_every_name_of_it(self, governess: Run, loop: str) -> None:
        """`auto` is uvloop where it is installed, and a module:factory of uvloop's is good too."""
        code = f"import uvloop; {SHOW.replace('type(loop).__name__', 'isinstance(loop, uvloop.Loop)')}"
        assert out(governess, "--loop", loop, "-c", code) == "True"

    @pytest.mark.parametrize("how", ["uvloop.install()", "asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())"])
    def test_policy_of_uvloop(self, governess: Run, how: str) -> None:
        """A program that sets uvloop's policy gets uvloop's loop, and governess's children in it."""
        code = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)  # uvloop's own\n"
        program = f"{code}import asyncio, uvloop; {how}\n{FORKS}"
        assert out(governess, "-c", program) == "uvloop [] 7 True"
