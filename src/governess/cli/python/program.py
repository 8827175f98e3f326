"""Running a Python program as `python` does. It does not import click, so that the program starts quickly."""

import builtins
import linecache
import os
import runpy
import sys
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER
from pkgutil import get_importer
from types import CodeType, ModuleType, TracebackType

from governess.cli import loop_factory, main, watcher_factory
from governess.cli.python.call import Call, Kind, WrongCall

__all__ = ["NoProgram", "launch", "prepare", "without_own_frames"]

Program = Callable[[], object]

_NAMES_OF_A_MAIN_MODULE = frozenset(vars(sys.modules["__main__"]))


def launch(words: Sequence[str]) -> int:
    """Install the bridge and run a program.

    Args:
        words: the arguments after `governess python`.

    Returns:
        The exit status: 0 if the program returns; 2 for a usage error.

    Raises:
        BaseException: any exception of the program, SystemExit too; the interpreter handles it as usual.
    """
    try:
        call = Call.of(words)
        if call is None:
            return _help()
        program = prepare(call)
        _install(call)
    except (WrongCall, NoProgram) as error:
        return _refuse(error)
    without_own_frames(program)
    return 0


def _install(call: Call) -> None:
    from governess import DefaultEventLoopPolicy, install
    from governess._inherit import pass_on
    from governess._workers import Choice, choose

    try:
        factory, watcher = loop_factory(call.loop), watcher_factory(call.watcher)
    except ValueError as error:
        raise WrongCall(str(error)) from None
    choice = Choice(call.loop, call.watcher)
    choose(choice)
    if call.inherit:
        pass_on(choice)
    install(DefaultEventLoopPolicy(loop_factory=factory, watcher=watcher))


def _help() -> int:
    return main(["python", "--help"])


def _refuse(error: Exception) -> int:
    from governess.cli.printable import printable

    text = f"governess python: {printable(str(error))}" if isinstance(error, WrongCall) else str(error)
    print(text, file=sys.stderr)
    return 2


class NoProgram(Exception):
    """The file cannot be opened; the text is the error message of `python`."""


def prepare(call: Call) -> Program:
    """Set sys.argv, sys.path and `__main__` for a program; return the function that runs it.

    Raises:
        NoProgram: the file cannot be opened.
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
    """Replace `__main__` by a module with the attributes that it has in a new interpreter."""
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
    """Replace the first entry of sys.path, which `python` has added for governess; with `-P` there is no such entry."""
    if not sys.flags.safe_path:
        sys.path[0] = path
    elif even_if_safe:
        sys.path.insert(0, path)


def _absolute(script: str) -> str:
    """Make the path absolute as `python` does, which does not resolve `..` and links."""
    if sys.platform == "win32":
        return os.path.abspath(script)
    return os.path.join(_working_folder(), script)


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
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
    if sys.version_info >= (3, 14):  # `python -c` accepts indented code since then
        source = textwrap.dedent(source)
    code = compile(source, "<string>", "exec", dont_inherit=True)
    _let_tracebacks_show(code, source)
    exec(code, vars(main))


def _let_tracebacks_show(code: CodeType, source: str) -> None:
    """Register the code of `-c` in linecache, if this version of `python` does so."""
    register = vars(linecache).get("_register_code")
    if register is not None:
        register(code if hasattr(linecache, "_interactive_cache") else "<string>", source, "<string>")


def without_own_frames(program: Callable[[], object]) -> None:
    """Run a program; the interpreter shows its exceptions without the frames of governess."""
    try:
        program()
    except SystemExit:
        raise
    except BaseException as error:
        _show_only(_program_frames(error.__traceback__))
        raise


def _program_frames(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith("governess.cli."):
        traceback = traceback.tb_next
    return traceback


def _show_only(traceback: TracebackType | None) -> None:
    """Have sys.excepthook, even one of the program, called with this traceback; restore it then."""
    hook = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        sys.excepthook = hook
        sys.last_traceback = traceback
        hook(kind, error.with_traceback(traceback), traceback)

    sys.excepthook = show
