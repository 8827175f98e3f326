"""`governess python` does what `python` does: every program here is run by both, and compared."""

import errno
import os
import py_compile
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

windows = pytest.mark.windows
WAYS = ("script", "module", "code", "stdin")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals, links and permissions")

Done = subprocess.CompletedProcess[str]


def in_every_way(names: str, cases: list[tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Parametrize with each case in each way; not slow are all cases in the first way, and the first case in all."""
    return pytest.mark.parametrize(
        f"{names}, way",
        [
            pytest.param(*case, way, marks=[] if case is cases[0] or way == WAYS[0] else [pytest.mark.slow])
            for case in cases
            for way in WAYS
        ],
    )


Same = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder in which programs run."""
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


@pytest.fixture
def same(folder: Path) -> Same:
    """Run a program by `python` and by `governess python`; they print the same and end the same. Returns how."""

    def run(*words: str, **options: Any) -> Done:
        with ThreadPoolExecutor(1) as beside:
            plain = beside.submit(_run, folder, [], words, **options)
            actual = _run(folder, GOVERNESS, words, **options)
        expected = plain.result()
        assert (expected.returncode, expected.stdout) == (actual.returncode, actual.stdout), actual.stderr
        assert expected.stderr == actual.stderr
        return actual

    return run


GOVERNESS = ["-m", "governess", "python"]


def _run(folder: Path, way: list[str], words: Sequence[str], *, input: str = "", **environment: str) -> Done:
    return subprocess.run(
        [sys.executable, *way, *words],
        input=input,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
        timeout=60,
    )


def _words(way: str, folder: Path, program: str) -> list[str]:
    """The words that run a program in one of the four ways; for standard input it is given as `input` besides."""
    (folder / "program.py").write_text(program)
    return {"script": ["program.py"], "module": ["-m", "program"], "code": ["-c", program], "stdin": ["-"]}[way]


#: What a program can see of how it was started; addresses are of no interest.
LOOK = """
import re, sys
for name, value in sorted(globals().copy().items()):
    print(name, type(value).__name__, re.sub("0x[0-9a-fA-F]+", "", repr(value)))
print(sys.argv, sys.path, __name__ in sys.modules and vars(sys.modules[__name__]) is globals())
"""


class TestWhatTheProgramSees:
    @windows
    @pytest.mark.parametrize("path", ["look.py", "../folder/look.py", "./look.py", "sub/../look.py"])
    def test_script(self, same: Same, folder: Path, path: str) -> None:
        """A script's sys.argv, sys.path and the attributes of `__main__`, by any path."""
        (folder / "sub").mkdir()
        (folder / "look.py").write_text(LOOK)
        assert repr([path, "a", "b c"]) in same(path, "a", "b c").stdout

    @windows
    def test_absolute_script(self, same: Same, folder: Path) -> None:
        """A script by its absolute path, from another folder."""
        (folder / "sub").mkdir()
        script = folder / "sub" / "look.py"
        script.write_text(LOOK)
        assert repr(str(script.parent)) in same(str(script)).stdout

    @posix
    def test_link(self, same: Same, folder: Path) -> None:
        """Of a script behind two links sys.path[0] is the folder in which it truly stands."""
        (folder / "true").mkdir()
        (folder / "true" / "look.py").write_text(LOOK)
        (folder / "first").symlink_to(Path("true", "look.py"))
        (folder / "second").symlink_to("first")
        assert repr(str(folder / "true")) in same("second").stdout

    @windows
    @pytest.mark.parametrize("name", ["package", "package.zip"])
    def test_folder_and_zip_file(self, same: Same, folder: Path, name: str) -> None:
        """A folder or a zip file is run by its `__main__.py`."""
        if name.endswith(".zip"):
            with zipfile.ZipFile(folder / name, "w") as archive:
                archive.writestr("__main__.py", LOOK)
        else:
            (folder / name).mkdir()
            (folder / name / "__main__.py").write_text(LOOK)
        assert same(name, "x").returncode == 0
        assert same(name, "x", PYTHONSAFEPATH="1").returncode == 0

    @windows
    @pytest.mark.parametrize("module", ["module", "package", "package.module"])
    def test_module(self, same: Same, folder: Path, module: str) -> None:
        """`-m` takes a module, a package, and a module in a package."""
        (folder / "package").mkdir()
        for path in ("module.py", "package/__init__.py", "package/__main__.py", "package/module.py"):
            (folder / path).write_text(LOOK)
        assert same("-m", module, "-x", "--loop", "y").returncode == 0
        assert same(f"-m{module}").returncode == 0

    @windows
    def test_code(self, same: Same) -> None:
        """`-c` takes code, and the words after it."""
        assert "['-c', '--loop', 'x']" in same("-c", LOOK, "--loop", "x").stdout

    @windows
    def test_standard_input(self, same: Same) -> None:
        """`-` takes code from standard input."""
        assert "['-', 'x']" in same("-", "x", input=LOOK).stdout

    @windows
    @pytest.mark.parametrize("name", ["look.pyc", "look"])
    def test_bytecode(self, same: Same, folder: Path, name: str) -> None:
        """A compiled file runs, whatever its name."""
        (folder / "look.py").write_text(LOOK)
        py_compile.compile(str(folder / "look.py"), str(folder / name))
        assert same(name).returncode == 0

    @windows
    @pytest.mark.parametrize("words", [["look.py"], ["-m", "look"], ["-c", LOOK]])
    def test_safe_path(self, same: Same, folder: Path, words: list[str]) -> None:
        """With PYTHONSAFEPATH no folder is put before the others."""
        (folder / "look.py").write_text(LOOK)
        same(*words, PYTHONSAFEPATH="1", PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))

    @windows
    @pytest.mark.parametrize("option", ["--loop", "--watcher", "--help", "-h", "-m", "--"])
    def test_options_after_the_program_are_its_own(self, same: Same, folder: Path, option: str) -> None:
        """What comes after the script goes to it, even what governess knows."""
        (folder / "look.py").write_text(LOOK)
        assert repr(["look.py", option, "asyncio"]) in same("look.py", option, "asyncio").stdout

    @windows
    def test_its_own_source(self, same: Same, folder: Path) -> None:
        """`inspect` finds the source of what the program defines, and its neighbours can be imported."""
        (folder / "neighbour.py").write_text("import __main__\nprint(__main__.f.__module__)")
        (folder / "script.py").write_text(
            "import inspect\ndef f():\n    return 1\nimport neighbour\nprint(inspect.getsource(f))"
        )
        assert "return 1" in same("script.py").stdout

    @windows
    def test_encoding(self, same: Same, folder: Path) -> None:
        """A source file's own encoding is respected."""
        (folder / "latin.py").write_bytes("# -*- coding: latin-1 -*-\nprint(ascii('\xe4'))".encode("latin-1"))
        (folder / "bom.py").write_bytes(b"\xef\xbb\xbf" + b"print(__name__)\r\nprint(2)\r\n")
        assert same("latin.py").stdout == "'\\xe4'\n"
        same("bom.py")

    def test_a_python_without_click(self, folder: Path) -> None:
        """Neither click nor rich is imported, nor anything else that needs an extra; there need be none."""
        code = "import sys; print(sorted({'click', 'rich', 'argparse', 'pytest'} & set(sys.modules)))"
        hidden = f"import sys; sys.modules.update(click=None, rich=None); sys.argv[1:] = ['python', '-c', {code!r}]"
        done = _run(folder, ["-c"], (f"{hidden}; from governess.cli import main; main()",))
        assert (done.stdout, done.stderr) == ("['click', 'rich']\n", "")
        assert _run(folder, GOVERNESS, ("-c", code)).stdout == "[]\n"


class TestHowItEnds:
    @windows
    @pytest.mark.parametrize(
        ("statement", "status"),
        [
            ("sys.exit()", 0),
            ("sys.exit(None)", 0),
            ("raise SystemExit(4)", 4),
            ("os._exit(5)", 5),
            ("raise ValueError('a text') from KeyError(1)", 1),
            ("raise ExceptionGroup('several', [ValueError(1), KeyError(2)])", 1),
            ("raise GeneratorExit", 1),
            ("assert False, 'why'", 1),
            ("(lambda: [] + 1)()", 1),
            ("import json; json.loads('x')", 1),
            ("compile('(', 'other', 'exec')", 1),
            ("import nowhere", 1),
        ],
    )
    def test_exit_status(self, same: Same, folder: Path, statement: str, status: int) -> None:
        """Exit status, text and traceback are those of `python`."""
        (folder / "program.py").write_text(f"import os, sys\nprint('begun', flush=True)\n{statement}")
        assert same("program.py").returncode == status

    @windows
    @in_every_way(
        "statement, status",
        [("1 / 0", 1), ("pass", 0), ("sys.exit(3)", 3), ("sys.exit('a text')", 1), ("exec('1 / 0')", 1)],
    )
    def test_exit_status_in_every_way(self, same: Same, folder: Path, statement: str, status: int, way: str) -> None:
        """They are so for modules and code too, and no machinery is seen but that of `python -m` itself."""
        program = f"import sys\nprint('begun')\n{statement}"
        done = same(*_words(way, folder, program), input=program)
        assert done.returncode == status
        assert "governess" not in done.stderr
        assert way == "module" or "runpy" not in done.stderr

    @windows
    @pytest.mark.parametrize("source", ["x = (", "\tx\n y", "return", "'\\N{x}'", "f'{'"])
    def test_no_python(self, same: Same, folder: Path, source: str) -> None:
        """What is no Python is shown as `python` shows it."""
        (folder / "program.py").write_text(source)
        assert same("program.py").returncode == 1

    @windows
    @pytest.mark.parametrize("source", [b"'\xff'", b"a\0b", b"# coding: none"])
    def test_no_text(self, folder: Path, source: bytes) -> None:
        """What is no text is a SyntaxError that names the file, in words of its own."""
        (folder / "program.py").write_bytes(source)
        done = _run(folder, GOVERNESS, ("program.py",))
        assert done.returncode == 1
        assert "SyntaxError: " in done.stderr
        assert "Traceback" not in done.stderr

    @windows
    def test_indented_code(self, same: Same) -> None:
        """Indented code after `-c` is allowed where `python` allows it."""
        same("-c", "\n    print(1)\n    print(2)\n    1 / 0")

    @windows
    @pytest.mark.parametrize("name", ["missing.py", "no/such/folder.py", "quo'te"])
    def test_missing_file(self, same: Same, name: str) -> None:
        """A missing file is told in python's one line, with its status."""
        done = same(name)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "can't open file" in done.stderr

    @posix
    def test_unreadable_file(self, same: Same, folder: Path) -> None:
        """A file that is there and cannot be read is told with the system's reason."""
        (folder / "loop.py").symlink_to("loop.py")
        done = same("loop.py")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"[Errno {errno.ELOOP}] {os.strerror(errno.ELOOP)}" in done.stderr

    @windows
    @pytest.mark.parametrize("words", [["-m", "nowhere"], ["-m", "os.path.x"], ["-m", "empty"], ["empty"]])
    def test_missing_module(self, same: Same, folder: Path, words: list[str]) -> None:
        """A missing module, and a folder without a `__main__.py`, are told in one line."""
        (folder / "empty").mkdir()
        done = same(*words)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)

    @windows
    def test_module_imported_by_its_package(self, same: Same, folder: Path) -> None:
        """The warning about a module that its package imports is that of `python -m`."""
        (folder / "package").mkdir()
        (folder / "package" / "__init__.py").write_text("import package.module")
        (folder / "package" / "module.py").write_text("")
        assert "RuntimeWarning" in same("-m", "package.module").stderr

    @windows
    @pytest.mark.parametrize(
        "hook",
        [
            "lambda kind, error, tb: print(kind, error, traceback.extract_tb(tb), sys.last_traceback is tb)",
            "lambda *_: sys.exit(7)",
            "sys.__excepthook__",
        ],
    )
    def test_own_excepthook(self, same: Same, folder: Path, hook: str) -> None:
        """A program's own sys.excepthook gets the program's frames alone, and atexit handlers see the hook again."""
        (folder / "program.py").write_text(
            "import atexit, sys, traceback\n"
            f"hook = sys.excepthook = {hook}\n"
            "atexit.register(lambda: print('the same', sys.excepthook is hook))\n"
            "raise ValueError('a text')\n"
        )
        assert "the same True" in same("program.py").stdout

    @windows
    def test_end_of_a_program(self, same: Same, folder: Path) -> None:
        """Threads are awaited, atexit handlers run, what `__main__` holds is deleted, with an error or without."""
        program = (
            "import atexit, sys, threading\n"
            "class Held:\n    def __del__(self): print('deleted')\n"
            "held, go = Held(), threading.Event()\n"
            "def work():\n    go.wait()\n    print('thread')\n"
            "threading.Thread(target=work).start()\n"
            "atexit.register(print, 'atexit')\n"
            "threading.Timer(0.05, go.set).start()\n"
            "print('end of main')\n"
        )
        for last in ("", "1 / 0", "sys.exit(3)"):
            (folder / "program.py").write_text(program + last)
            assert same("program.py").stdout.splitlines() == ["end of main", "thread", "atexit", "deleted"]

    @windows
    def test_error_in_a_thread(self, same: Same, folder: Path) -> None:
        """A thread's error is shown as always, and changes no status."""
        (folder / "program.py").write_text("import threading\nthreading.Thread(target=lambda: 1 / 0).start()")
        assert same("program.py").returncode == 0

    @windows
    def test_warnings(self, same: Same, folder: Path) -> None:
        """The program is `__main__` for the warning filters too."""
        (folder / "program.py").write_text("import warnings\nwarnings.warn('old', DeprecationWarning)\n'\\d'\n")
        assert "DeprecationWarning: old" in same("program.py").stderr
        assert same("program.py", PYTHONWARNINGS="error").returncode == 1

    @windows
    def test_buffering(self, same: Same, folder: Path) -> None:
        """Standard output is buffered as `python` buffers it."""
        (folder / "program.py").write_text("import os\nprint('first')\nos.write(1, b'second\\n')")
        assert same("program.py", PYTHONUNBUFFERED="").stdout == "second\nfirst\n"
        assert same("program.py", PYTHONUNBUFFERED="1").stdout == "first\nsecond\n"

    @posix
    @in_every_way(
        "statement",
        [
            ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",),
            ("raise KeyboardInterrupt",),
            ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",),
            ("asyncio.run(main())",),
            ("signal.signal(signal.SIGINT, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",),
            ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); signal.raise_signal(signal.SIGTERM)",),
        ],
    )
    def test_signals(self, same: Same, folder: Path, statement: str, way: str) -> None:
        """A signal that ends a program truly ends it, atexit handlers before; its own handlers are its own."""
        program = (
            "import asyncio, atexit, os, signal, sys, time\n"
            "async def main():\n    os.kill(os.getpid(), signal.SIGINT)\n    await asyncio.sleep(60)\n"
            f"atexit.register(print, 'atexit')\n{statement}"
        )
        words = _words(way, folder, program)
        if "asyncio.run" not in statement:
            same(*words, input=program)
            return
        done = _run(folder, GOVERNESS, words, input=program)
        assert (done.returncode, done.stdout) == (-signal.SIGINT, "atexit\n")
        assert "governess" not in done.stderr

    @posix
    @pytest.mark.parametrize("program", ["print('x' * 10)", "print('x' * 10**6, flush=True)"])
    def test_broken_pipe(self, folder: Path, program: str) -> None:
        """Where nobody reads standard output, status and text are those of `python`."""
        ends = []
        for way in ([], GOVERNESS):
            read, write = os.pipe()
            os.close(read)
            command = [sys.executable, *way, "-c", program]
            done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=folder, timeout=60)
            os.close(write)
            ends.append((done.returncode, done.stderr))
        assert ends[0] == ends[1]
        assert "BrokenPipeError" in ends[0][1]


class TestMultiprocessing:
    PROGRAM = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

class Point:
    def __init__(self, x): self.x = x
    def __repr__(self): return f"Point({self.x}) of {type(self).__module__}"

def double(point):
    return Point(point.x * 2)

if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            print(method, *pool.map(double, [Point(1), Point(2)]))
"""

    @pytest.mark.parametrize("words", [["program.py"], ["-m", "program"]])
    def test_what_stands_in_main(self, same: Same, folder: Path, words: list[str]) -> None:
        """What a program defines goes to other processes and comes back, by spawn and by forkserver."""
        (folder / "program.py").write_text(self.PROGRAM)
        assert "spawn Point(2) of __main__ Point(4) of __main__" in same(*words).stdout


class TestWrongCalls:
    @windows
    @pytest.mark.parametrize(
        ("words", "text"),
        [
            ([], "no program: give a script"),
            (["--loop"], "--loop needs a value"),
            (["-m"], "-m needs a value"),
            (["-X", "dev", "script.py"], "there is no option -X; those of python itself go to python"),
            (["--lop=asyncio", "script.py"], "there is no option --lop=asyncio"),
            (["--loop", "nope", "-c", "print(1)"], "the loop 'nope' does not exist; there are auto, asyncio"),
            (["--loop", "nope:f", "-c", "print(1)"], "the loop 'nope:f' cannot be used: No module named 'nope'"),
            (["--watcher=nope", "-c", "print(1)"], "there are "),
        ],
    )
    def test_one_line_tells(self, folder: Path, words: list[str], text: str) -> None:
        """A wrong call is one line and status 2, and nothing runs."""
        done = _run(folder, GOVERNESS, words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("governess python: ")
        assert text in done.stderr
