"""A program as `__main__`, in the state in which `python` gives it: sys.argv, sys.path, the module, its code."""

import builtins
import linecache
import os
import runpy
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER
from pkgutil import get_importer
from types import CodeType, ModuleType

from governess.cli.python.argv import Call, Kind

__all__ = ["NoProgram", "prepare"]

Program = Callable[[], object]

_NAMES_OF_A_MAIN_MODULE = frozenset(vars(sys.modules["__main__"]))


class NoProgram(Exception):
    """The file cannot be opened; its text is what `python` says."""


def prepare(call: Call) -> Program:
    """Set sys.argv, sys.path and `__main__` for a program, and return what runs it.

    Raises:
        NoProgram: there is none.
    """
    main = _new_main_module()
    match call.kind:
        case Kind.SCRIPT:
            sys.argv = [call.program, *call.args]
            return _script(main, call.program)
        case Kind.MODULE:
            sys.argv = ["-m", *call.args]
            _set_first_path(_working_folder())
            return partial(_run_module, call.program, alter_argv=True)
        case Kind.CODE:
            sys.argv = ["-c", *call.args]
            _set_first_path("")
            return partial(_run_code, main, call.program)
        case Kind.STDIN:
            sys.argv = ["-", *call.args]
            _set_first_path(_working_folder() if sys.platform == "win32" else "")
            return _stdin(main)


def _new_main_module() -> ModuleType:
    """Put a `__main__` with the attributes of a new interpreter's in the place of governess's own."""
    main = ModuleType("__main__")
    vars(main).update(__builtins__=builtins, __loader__=BuiltinImporter)
    if "__annotations__" in _NAMES_OF_A_MAIN_MODULE:
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    return main


def _script(main: ModuleType, script: str) -> Program:
    path = _absolute(script)
    if get_importer(path) is not None:
        _set_first_path(path, even_if_safe=True)
        return partial(_run_module, "__main__", alter_argv=False)
    content = _read(path)
    # Windows has links too, but there `python` does not follow them.
    resolve = os.path.abspath if sys.platform == "win32" else os.path.realpath
    _set_first_path(os.path.dirname(resolve(script)))
    if script.endswith(".pyc") or content[:2] == MAGIC_NUMBER[:2]:
        bytecode = SourcelessFileLoader("__main__", path)
        _set_file(main, path, bytecode)
        return partial(_run_bytecode, main, bytecode)
    _set_file(main, path, SourceFileLoader("__main__", path))
    return partial(_run_source, main, content, path)


def _stdin(main: ModuleType) -> Program:
    source = b"" if sys.stdin is None else sys.stdin.buffer.read()
    _set_file(main, "<stdin>", BuiltinImporter)
    return partial(_run_source, main, source, "<stdin>")


def _set_file(main: ModuleType, path: str, loader: object) -> None:
    vars(main).update(__file__=path, __loader__=loader)
    if "__cached__" in _NAMES_OF_A_MAIN_MODULE:
        vars(main)["__cached__"] = None


def _set_first_path(path: str, *, even_if_safe: bool = False) -> None:
    """Put a path where `python` has put the folder of governess; with `-P` it has put none there, and wants none."""
    if not sys.flags.safe_path:
        sys.path[0] = path
    elif even_if_safe:
        sys.path.insert(0, path)


def _absolute(script: str) -> str:
    """Make the path absolute as `python` does, which leaves `..` and links in it as they are."""
    if sys.platform == "win32":
        return os.path.abspath(script)
    return os.path.join(_working_folder(), script)


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it is gone
        return ""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        reason = f"[Errno {error.errno}] {error.strerror}"
        raise NoProgram(f"{sys.executable}: can't open file {path!r}: {reason}") from None


def _run_module(name: str, *, alter_argv: bool) -> None:
    vars(runpy)["_run_module_as_main"](name, alter_argv)  # what `python -m` calls


def _run_bytecode(main: ModuleType, loader: SourcelessFileLoader) -> None:
    code = loader.get_code("__main__")
    assert code is not None
    exec(code, vars(main))


def _run_source(main: ModuleType, source: bytes, path: str) -> None:
    exec(compile(source, path, "exec", dont_inherit=True), vars(main))


def _run_code(main: ModuleType, source: str) -> None:
    if sys.version_info >= (3, 14):  # from which on `python -c` allows all lines to be indented
        source = textwrap.dedent(source)
    code = compile(source, "<string>", "exec", dont_inherit=True)
    _let_tracebacks_show(code, source)
    exec(code, vars(main))


def _let_tracebacks_show(code: CodeType, source: str) -> None:
    """Give the lines of `-c` to linecache, where `python` does so."""
    register = vars(linecache).get("_register_code")
    if register is not None:
        register(code if hasattr(linecache, "_interactive_cache") else "<string>", source, "<string>")
