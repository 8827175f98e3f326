"""The bridge in other Python processes that a program starts: workers of multiprocessing, and all with `--inherit`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run

posix = pytest.mark.skipif(sys.platform == "win32", reason="watchers and fork are POSIX's")

WORKERS = """
import asyncio, concurrent.futures, json, multiprocessing, sys
from asyncio import ThreadedChildWatcher

def work(_=None):
    import asyncio, governess
    watcher, policy = asyncio.get_child_watcher(), asyncio.get_event_loop_policy()
    loop = asyncio.new_event_loop()
    loop.close()
    return [type(watcher).__name__, isinstance(policy, governess.DefaultEventLoopPolicy), type(loop).__name__]

def put(queue):
    queue.put(work())

if __name__ == "__main__":
    seen = {}
    for method in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=put, args=(queue,))
        process.start()
        process.join(30)
        seen[method] = queue.get(timeout=5)
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            seen[f"pool of {method}"] = pool.submit(work).result(30)
    print(json.dumps(seen))
"""

IS_BRIDGED = (
    "import asyncio; print('ThreadedChildWatcher' in vars(asyncio) and asyncio.ThreadedChildWatcher.__module__)"
)
CHILD = (
    f"import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', {IS_BRIDGED!r}], text=True), end='')"
)


def lines(governess: Run, *words: str, **options: dict[str, str]) -> list[str]:
    done = governess("python", *words, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@posix
@pytest.mark.parametrize("inherit", [[], ["--inherit"]])
def test_workers(governess: Run, tmp_path: Path, inherit: list[str]) -> None:
    """Workers of every start method, and those of a ProcessPoolExecutor, find the old names and the chosen watcher."""
    Path(tmp_path, "program.py").write_text(WORKERS)
    (line,) = lines(governess, *inherit, "--watcher", "safe", "program.py")
    seen = json.loads(line)
    assert {*seen} >= {"fork", "spawn", "forkserver", "pool of spawn", "pool of forkserver"}
    assert {json.dumps(found) for found in seen.values()} == {'["SafeChildWatcher", true, "SelectorEventLoop"]'}


@posix
def test_workers_with_a_loop_beside_the_script(governess: Run, tmp_path: Path) -> None:
    """`--loop module:factory` holds in workers too, where the module is found only later."""
    Path(tmp_path, "program.py").write_text(WORKERS)
    Path(tmp_path, "beside.py").write_text("import asyncio\nclass Own(asyncio.SelectorEventLoop): pass\n")
    (line,) = lines(governess, "--loop", "beside:Own", "program.py", env={"PYTHONPATH": str(tmp_path)})
    assert {found[2] for found in json.loads(line).values()} == {"Own"}


def test_install_alone() -> None:
    """governess.install() is enough for workers; uninstall() gives back what it has changed, also before an import."""
    script = """
        import sys, governess
        before = list(sys.meta_path)
        governess.install(); governess.uninstall()
        assert sys.meta_path == before
        governess.install()
        import multiprocessing.util, multiprocessing.spawn
        name = "spawnv_passfds" if sys.platform != "win32" else "get_command_line"
        module = multiprocessing.util if sys.platform != "win32" else multiprocessing.spawn
        assert getattr(module, name).__module__ == "governess._workers"
        governess.uninstall()
        assert sys.meta_path == before
        assert getattr(module, name).__module__ == module.__name__
    """
    import textwrap

    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)


@posix
def test_resource_tracker_is_left_alone(governess: Run) -> None:
    """Python processes of multiprocessing that run nothing of the program are started as ever."""
    code = "from governess._workers import _with_bridge as f; print(f(['python', '-c', 'import x', '-c', 'y']))"
    assert lines(governess, "-c", code) == ["['python', '-c', 'import x', '-c', 'y']"]


@posix
class TestInherit:
    @pytest.mark.parametrize(
        ("words", "env", "expected"),
        [
            ([], {}, "asyncio"),
            (["--inherit"], {}, "governess"),
            ([], {"GOVERNESS_INHERIT": "1"}, "governess"),
        ],
    )
    def test_children(self, governess: Run, words: list[str], env: dict[str, str], expected: str) -> None:
        """A Python child has the bridge with `--inherit` or its environment variable, and not without."""
        (found,) = lines(governess, *words, "-c", CHILD, env=env)
        assert found.startswith(expected) or (found == "False" and expected == "asyncio")

    def test_choice(self, governess: Run) -> None:
        """It has the loop and the watcher that were chosen, and so have its own children."""
        show = "import asyncio; print(type(asyncio.get_child_watcher()).__name__)"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {show!r}])"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
        assert lines(governess, "--inherit", "--watcher", "threaded", "-c", code) == ["ThreadedChildWatcher"]

    def test_nothing_before_asyncio(self, governess: Run) -> None:
        """A child that does not import asyncio imports nothing of governess, and its path is as ever."""
        look = "import sys; print(any(name.startswith('governess') for name in sys.modules), 'asyncio' in sys.modules)"
        look += "; print(any('_inherit' in entry for entry in sys.path))"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {look!r}])"
        assert lines(governess, "--inherit", "-c", code) == ["False False", "False"]

    @pytest.mark.parametrize("fails", [False, True])
    def test_sitecustomize_of_ones_own(self, governess: Run, tmp_path: Path, fails: bool) -> None:
        """The `sitecustomize` that it hides is run, and its errors are told as ever."""
        Path(tmp_path, "sitecustomize.py").write_text("import does_not_exist" if fails else "print('mine')")
        code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sitecustomize; print(1)'])"
        done = governess("python", "--inherit", "-c", code, env={"PYTHONPATH": str(tmp_path)})
        if fails:
            assert "does_not_exist" in done.stderr
        else:
            assert done.stdout.splitlines() == ["mine", "mine", "1"]

    def test_without_the_variable(self) -> None:
        """That folder on PYTHONPATH alone does nothing."""
        from governess import _inherit

        env = {**os.environ, "PYTHONPATH": str(Path(_inherit.__file__).parent)}
        env.pop("GOVERNESS_INHERIT", None)
        found = subprocess.run([sys.executable, "-c", IS_BRIDGED], env=env, capture_output=True, text=True, check=True)
        assert not found.stdout.startswith("governess")
