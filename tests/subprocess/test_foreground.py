"""The terminal, given to a child and taken back."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs a terminal of POSIX", allow_module_level=True)

from tests.terminals import OnTerminal

from governess.subprocess import cmd, start

ASK = "printf 'password: ' >/dev/tty; read x </dev/tty; echo got $x"
PRELUDE = '''
import asyncio, os, signal, sys
if PURE:
    os.environ["GOVERNESS_PURE"] = "1"
from governess.subprocess import PIPE, ProcessTimeout, TerminalRequired, cmd, run, start

def has_terminal():
    return os.tcgetpgrp(0) == os.getpgrp()

def start_after_the_end(word):
    """Have a pipeline start what follows the program with this last word only when that program is reaped."""
    from governess.subprocess import _pipeline_run

    create = _pipeline_run.create

    async def create_late(*arguments):
        process = await create(*arguments)
        if process.argv[-1] == word:
            await process.wait()
        return process

    _pipeline_run.create = create_late

def complete(main):
    if UVLOOP:
        import uvloop
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if UVLOOP else None) as runner:
        return runner.run(main)

'''
needs_uvloop = pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
everywhere = pytest.mark.parametrize(
    "where",
    [
        pytest.param("PURE = UVLOOP = False", id="native"),
        pytest.param("PURE, UVLOOP = True, False", id="pure"),
        pytest.param("PURE, UVLOOP = False, True", id="uvloop", marks=needs_uvloop),
    ],
)
needs_waitid = pytest.mark.skipif(not hasattr(os, "waitid"), reason="the stop of a child cannot be seen")


def python(code: str, where: str = "PURE = UVLOOP = False") -> list[str]:
    return [sys.executable, "-c", where + PRELUDE + code]


def in_shell(code: str, folder: Path, where: str = "PURE = UVLOOP = False") -> OnTerminal:
    """Run Python code as a job of an interactive shell."""
    script = folder / "job.py"
    script.write_text(where + PRELUDE + code)
    shell = OnTerminal("bash", "--norc", "--noprofile", "--noediting", "-i")
    shell.type(f"PS1='ready> '; {sys.executable} {script}\n")
    return shell


@everywhere
def test_run_reads_the_answer(where: str) -> None:
    """A program that asks at /dev/tty is answered there, and its output is captured as ever."""
    code = f"print(complete(run('sh', '-c', {ASK!r}, foreground=True)).stdout, has_terminal())"
    with OnTerminal(*python(code, where)) as terminal:
        terminal.wait_for("password: ")
        terminal.type("secret\n")
        terminal.wait_for("b'got secret\\n' True")
        assert terminal.wait_for_end() == 0


def test_input_is_that_of_the_parent() -> None:
    """A program in the foreground reads from the parent's standard input, if it is given no other."""
    code = "print(complete(run('head', '-n1', foreground=True)).stdout)"
    with OnTerminal(*python(code)) as terminal:
        terminal.type("typed\n")
        terminal.wait_for("b'typed\\n'")
        assert terminal.wait_for_end() == 0


def test_start_and_wait() -> None:
    """As soon as wait() has returned, the parent has the terminal again, and can read from it."""
    code = f"""
async def main():
    async with start('sh', '-c', {ASK!r}, foreground=True) as process:
        await process.wait()
        print('mine:', has_terminal(), input('next: '))
complete(main())
"""
    with OnTerminal(*python(code)) as terminal:
        terminal.wait_for("password: ")
        terminal.type("secret\n")
        terminal.wait_for("next: ")
        terminal.type("more\n")
        terminal.wait_for("mine: True more")
        assert terminal.wait_for_end() == 0


@everywhere
def test_pipeline(where: str) -> None:
    """The programs of a pipeline share the terminal: the first asks, and the last one does, too."""
    last = "cat; printf 'sure? ' >/dev/tty; read x </dev/tty; echo last $x"
    code = f"""
flow = cmd('sh', '-c', {ASK!r}) | cmd('sh', '-c', {last!r})
print(complete(flow.run(foreground=True)).stdout, has_terminal())
"""
    with OnTerminal(*python(code, where)) as terminal:
        terminal.wait_for("password: ")
        terminal.type("secret\n")
        terminal.wait_for("sure? ")
        terminal.type("yes\n")
        terminal.wait_for("b'got secret\\nlast yes\\n' True")
        assert terminal.wait_for_end() == 0


@everywhere
def test_pipeline_whose_first_program_is_gone(where: str) -> None:
    """If the first program is reaped before the second one starts, the second one has the terminal all the same."""
    code = """
start_after_the_end("true")
done = complete((cmd("true") | cmd("sh", "-c", ASK) | cmd("cat")).run(foreground=True, encoding="utf-8"))
print(list(map(int, done.exits)), done.stdout.strip(), has_terminal())
""".replace("ASK", repr(ASK))
    with OnTerminal(*python(code, where)) as terminal:
        terminal.wait_for("password: ")
        terminal.type("secret\n")
        terminal.wait_for("[0, 0, 0] got secret True")
        assert terminal.wait_for_end() == 0


@everywhere
def test_pipeline_whose_first_program_has_left_another(where: str, tmp_path: Path) -> None:
    """What the first program has left reads from the terminal as well, if that program is gone before the second."""
    os.mkfifo(tmp_path / "go")
    first, second = f"(read y <{tmp_path}/go; {ASK}) & exit", f"echo >{tmp_path}/go; exec cat"
    code = f"""
start_after_the_end({first!r})
done = complete((cmd("sh", "-c", {first!r}) | cmd("sh", "-c", {second!r})).run(foreground=True, encoding="utf-8"))
print(list(map(int, done.exits)), done.stdout.strip(), has_terminal())
"""
    with OnTerminal(*python(code, where)) as terminal:
        terminal.wait_for("password: ")
        terminal.type("secret\n")
        terminal.wait_for("[0, 0] got secret True")
        assert terminal.wait_for_end() == 0


def test_pipeline_whose_group_goes_meanwhile(tmp_path: Path) -> None:
    """If the last process of the group ends right before the second program joins it, the second leads a group."""
    os.mkfifo(tmp_path / "go")
    first = f"(read y <{tmp_path}/go) & exit"
    code = f"""
import contextlib, time
from governess.subprocess import _pipeline_run

create = _pipeline_run.create

async def create_late(command, *arguments):
    group = command.options["process_group"]
    if group:
        with open({str(tmp_path / "go")!r}, "w") as go:
            print(file=go)
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.killpg(group, 0)
                time.sleep(0.001)
    process = await create(command, *arguments)
    if process.argv[-1] == {first!r}:
        await process.wait()
    return process

_pipeline_run.create = create_late
done = complete((cmd("sh", "-c", {first!r}) | cmd("sh", "-c", {ASK!r})).run(foreground=True, encoding="utf-8"))
print(list(map(int, done.exits)), done.stdout.strip(), has_terminal())
"""
    with OnTerminal(*python(code)) as terminal:
        terminal.wait_for("password: ")
        terminal.type("secret\n")
        terminal.wait_for("[0, 0] got secret True")
        assert terminal.wait_for_end() == 0


def test_interrupt() -> None:
    """Ctrl-C ends the program alone: all of a pipeline, and not the parent."""
    code = """
flow = cmd('sh', '-c', 'exec sleep 60') | cmd('sh', '-c', 'echo running >/dev/tty; exec sleep 61')
print([exit.describe() for exit in complete(flow.run(foreground=True)).exits], has_terminal())
"""
    with OnTerminal(*python(code)) as terminal:
        terminal.wait_for("running")
        terminal.wait_for_foreground()
        terminal.wait_for_programs("sleep", 2)  # dash catches SIGINT, and may be ended by TERM before it ends by that
        terminal.type("\x03")
        terminal.wait_for("['SIGINT', 'SIGINT'] True")
        assert terminal.wait_for_end() == 0


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("kill -SEGV $$", "SIGSEGV"),
        ("exit 3", "exit 3"),
    ],
)
def test_crash(end: str, said: str) -> None:
    """After a crash the terminal has the modes that it had before; what a program has set and left stays."""
    code = f"""
done = complete(run('sh', '-c', 'stty -echo </dev/tty; {end}', foreground=True))
print(done.exit.describe(), has_terminal())
sys.stdin.readline()
"""
    with OnTerminal(*python(code)) as terminal:
        terminal.wait_for(f"{said} True")
        assert terminal.echoes() == (said == "SIGSEGV")


@pytest.mark.parametrize("how", ["timeout", "cancel", "detach"])
def test_cut_off(how: str) -> None:
    """After a timeout, a cancellation and a detach the parent has the terminal."""
    code = f"""
SCRIPT, TIMEOUT = 'exec sleep 60', {0.3 if how == "timeout" else None}
async def main():
    if {how!r} != 'detach':
        had_none = False
        while not had_none:  # on a busy machine the time may be over before the start
            task = asyncio.create_task(run('sh', '-c', SCRIPT, foreground=True, timeout=TIMEOUT, grace=1))
            while has_terminal() and not task.done():
                await asyncio.sleep(0.001)
            had_none = not task.done()
            if {how!r} == 'cancel':
                task.cancel()
            await asyncio.wait([task])
        assert task.cancelled() or isinstance(task.exception(), ProcessTimeout)
        print('over', has_terminal())
    else:
        async with start('sh', '-c', SCRIPT, foreground=True) as process:
            process.detach()
            print('over', has_terminal())
complete(main())
"""
    with OnTerminal(*python(code)) as terminal:
        terminal.wait_for("over True")
        assert terminal.wait_for_end() == 0


STOPPABLE = """
async def main():
    done = await run('sh', '-c', 'echo running >/dev/tty; read x </dev/tty; echo got $x', foreground=True)
    print(done.stdout, has_terminal())
complete(main())
"""


@needs_waitid
@everywhere
def test_stop_and_continue(where: str, tmp_path: Path) -> None:
    """Ctrl-Z stops the program and the parent, whose shell goes on; fg continues both, and the program has it again."""
    with in_shell(STOPPABLE, tmp_path, where) as terminal:
        terminal.wait_for("running")
        terminal.wait_for_reader("sh")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.wait_for("ready> ")
        terminal.type("echo shell $((1 + 1))\n")
        terminal.wait_for("shell 2")
        terminal.type("fg\n")
        terminal.wait_for("job.py")
        terminal.type("secret\n")
        terminal.wait_for("b'got secret\\n' True")


@needs_waitid
def test_stopped_when_it_gets_the_terminal(tmp_path: Path) -> None:
    """A Ctrl-Z that comes as soon as the program has the terminal stops it, too."""
    code = """
give = os.tcsetpgrp

def give_and_stop(descriptor, group):
    give(descriptor, group)
    if group != os.getpgrp():
        os.killpg(group, signal.SIGTSTP)

os.tcsetpgrp = give_and_stop
complete(run('sleep', '60', foreground=True))
"""
    with in_shell(code, tmp_path) as terminal:
        terminal.wait_for("Stopped")


@needs_waitid
def test_started_in_the_background(tmp_path: Path) -> None:
    """A job in the background takes no terminal: it is stopped when its program reads, until fg continues it."""
    with in_shell(STOPPABLE, tmp_path) as terminal:
        terminal.wait_for("running")
        terminal.wait_for_reader("sh")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.type("bg\n")
        terminal.wait_for("ready> ")
        terminal.type("wait %1; echo waited\n")
        terminal.wait_for("waited")
        terminal.type("fg\n")
        terminal.wait_for("job.py")
        terminal.type("secret\n")
        terminal.wait_for("b'got secret\\n' True")


@needs_waitid
def test_stop_without_a_shell() -> None:
    """Where no shell could continue the parent, Ctrl-Z changes nothing."""
    with OnTerminal(*python(STOPPABLE)) as terminal:
        terminal.wait_for("running")
        terminal.wait_for_foreground()
        terminal.type("\x1a")
        terminal.type("secret\n")
        terminal.wait_for("b'got secret\\n' True")
        assert terminal.wait_for_end() == 0


@needs_waitid
@pytest.mark.parametrize("how", ["run", "pipeline"])
@everywhere
def test_without_the_terminal(where: str, how: str) -> None:
    """A program that reads from the terminal without having it fails, with the reason and the remedy; nothing hangs."""
    code = f"""
async def main():
    program = cmd('sh', '-c', {ASK!r})
    try:
        await (program if {how!r} == 'run' else program | cmd('cat')).run()
    except TerminalRequired as error:
        print(error.stop.name, error)
complete(main())
"""
    with OnTerminal(*python(code, where)) as terminal:
        terminal.wait_for("SIGTTIN sh -c ")
        terminal.wait_for("stopped by SIGTTIN, since it reads from the terminal, which another process group has; ")
        terminal.wait_for("foreground=True gives it the terminal")
        assert terminal.wait_for_end() == 0


@needs_waitid
def test_start_warns() -> None:
    """With start() the caller goes on, and a warning says that the program is stopped."""
    code = """
async def main():
    async with start('stty', '-echo', stdin=None, grace=1) as process:
        await asyncio.wait_for(process.wait(), 1)
complete(main())
"""
    with OnTerminal(*python(code)) as terminal:
        terminal.wait_for("stty -echo: stopped by SIGTTOU, since it writes to the terminal or changes its settings")
        terminal.wait_for("TimeoutError")
        assert terminal.wait_for_end() == 1


def test_no_terminal() -> None:
    """Where there is no terminal, nothing is different."""
    code = "print(complete(run('sh', '-c', 'cat; echo hello', foreground=True)).stdout)"

    done = subprocess.run(python(code), stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True)

    assert (done.stdout, done.stderr) == (b"b'hello\\n'\n", b"")


def test_wrong_calls() -> None:
    """A session has no terminal to be given, nor has a child with one of its own; a stage does not choose by itself."""
    with pytest.raises(ValueError, match="session=True gives it none"):
        start("true", foreground=True, session=True)
    with pytest.raises(ValueError, match="pty=True gives it one of its own"):
        start("true", foreground=True, pty=True)
    with pytest.raises(ValueError, match="session=True gives it none"):
        (cmd("true") | cmd("true", session=True)).start(foreground=True)
    with pytest.raises(TypeError, match=r"foreground of .*: that is the business of the pipeline"):
        cmd("true", foreground=True) | cmd("true")
