"""What a start raises: class, errno and filename are those of Popen, and nothing is left behind."""

import asyncio
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fresh import run_fresh
from governess.children._spawn import Spawner
from spawning import Failure, Result, _native, command, end, failure, popens_result, result

PIPES = {"stdin": -1, "stdout": -1, "stderr": -1}


def closed_descriptor() -> int:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    return write


WRONG: dict[str, tuple[Any, dict[str, Any]]] = {
    "missing program": (["/missing/program"], {}),
    "missing program in bytes": ([b"/missing/program"], {}),
    "missing program as a Path": ([Path("/missing/program")], {}),
    "missing program on PATH": (["there-is-no-such-program"], {}),
    "missing executable": (["true"], {"executable": "/missing/program"}),
    "missing shell": ("true", {"shell": True, "executable": "/missing/shell"}),
    "a directory": (["/usr"], {}),
    "below a file": (["/etc/passwd/x"], {}),
    "missing cwd": (["true"], {"cwd": "/missing/directory"}),
    "missing cwd as a Path": (["true"], {"cwd": Path("/missing/directory")}),
    "missing cwd and program": (["/missing/program"], {"cwd": "/missing/directory"}),
    "cwd is a file": (["true"], {"cwd": "/etc/passwd"}),
    "not executable": (["/etc/passwd"], {}),
    "not executable on PATH": (["passwd"], {"env": {"PATH": "/etc"}}),
    "too long a word": (["true", "x" * (1 << 21)], {}),
    "too many words": (["true", *["x" * 1000] * 10000], {}),
    "too large an environment": (["true"], {"env": {"A": "x" * (1 << 21)}}),
    "too long a name": (["/" + "x" * 5000], {}),
    "NUL in the program": (["tr\0ue"], {}),
    "NUL in the program, in bytes": ([b"tr\0ue"], {}),
    "NUL in a word": (["true", "\0"], {}),
    "NUL in cwd": (["true"], {"cwd": "/\0"}),
    "NUL in a variable": (["true"], {"env": {"A": "\0"}}),
    "NUL in the name of a variable": (["true"], {"env": {"\0": "A"}}),
    "= in the name of a variable": (["true"], {"env": {"A=B": "C"}}),
    "surrogates": (["\ud800"], {}),
    "no words": ([], {}),
    "empty program": ([""], {}),
    "empty string": ("", {}),
    "a number": ([1], {}),
    "None": (None, {}),
    "a number among the words": (["true", 1], {}),
    "a number as cwd": (["true"], {"cwd": 1.5}),
    "a list as env": (["true"], {"env": ["A=B"]}),
    "numbers in env": (["true"], {"env": {"A": 1}}),
    "a negative descriptor": (["true"], {"stdout": -4}),
    "STDOUT as stdin": (["true"], {"stdin": -2}),
    "a huge descriptor": (["true"], {"stdout": 1 << 40}),
    "a string as stdin": (["true"], {"stdin": "/dev/null"}),
    "a float as stdin": (["true"], {"stdin": 1.5}),
    "negative user": (["true"], {"user": -1}),
    "user beyond 32 bits": (["true"], {"user": 1 << 32}),
    "user beyond 64 bits": (["true"], {"user": 1 << 70}),
    "unknown user": (["true"], {"user": "nobody-of-this-name"}),
    "a float as user": (["true"], {"user": 1.5}),
    "negative group": (["true"], {"group": -1}),
    "group beyond 32 bits": (["true"], {"group": 1 << 32}),
    "unknown group": (["true"], {"group": "nobody-of-this-name"}),
    "a float as group": (["true"], {"group": 1.5}),
    "extra groups in a string": (["true"], {"extra_groups": "root"}),
    "extra groups with a float": (["true"], {"extra_groups": [1.5]}),
    "a negative extra group": (["true"], {"extra_groups": [-1]}),
    "extra group beyond 32 bits": (["true"], {"extra_groups": [1 << 32]}),
    "too many extra groups": (["true"], {"extra_groups": [1] * 70_000}),
    "another session's process group": (["true"], {"process_group": 1}),
    "process group beyond 32 bits": (["true"], {"process_group": 1 << 32}),
    "negative pass_fds": (["true"], {"pass_fds": [-1]}),
    "huge pass_fds": (["true"], {"pass_fds": [1 << 40]}),
    "words as pass_fds": (["true"], {"pass_fds": ["x"]}),
    "a string as umask": (["true"], {"umask": "x"}),
    "startupinfo": (["true"], {"startupinfo": 1}),
    "creationflags": (["true"], {"creationflags": 1}),
    "unknown option": (["true"], {"colour": "green"}),
}
if sys.version_info[:2] == (3, 12):  # whose Popen takes it modulo 2**32
    del WRONG["process group beyond 32 bits"]


@pytest.mark.parametrize(("args", "options"), WRONG.values(), ids=WRONG)
def test_error(spawner: Spawner, args: Any, options: dict) -> None:
    """The error is Popen's; with pipes asked for, none of them stays open."""
    found, expected = result(spawner, args, **PIPES | options), popens_result(args, **PIPES | options)
    assert isinstance(expected, Failure), "Popen does not mind"
    assert found == expected


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_closed_descriptor(spawner: Spawner, stream: str) -> None:
    """A closed descriptor as stdio is EBADF."""
    options = {stream: closed_descriptor()}
    assert result(spawner, ["true"], **options) == popens_result(["true"], **options)


def test_closed_descriptor_among_passed_ones(spawner: Spawner) -> None:
    """A closed descriptor in pass_fds is EBADF, though something opened for the child could have that number."""
    options = {"pass_fds": [closed_descriptor() + 20], "stdin": subprocess.DEVNULL}
    assert result(spawner, ["true"], **options) == popens_result(["true"], **options)


def test_not_a_program(spawner: Spawner, tmp_path: Path) -> None:
    """A file that is no program the kernel knows is ENOEXEC."""
    (tmp_path / "text").write_text("text")
    (tmp_path / "text").chmod(0o755)
    assert result(spawner, [tmp_path / "text"]) == popens_result([tmp_path / "text"])


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody who may not become root")
def test_forbidden_user(spawner: Spawner) -> None:
    """Who may not change the user gets a PermissionError."""
    os.seteuid(65534)
    try:
        options = {"user": 0, "extra_groups": [0]}
        assert result(spawner, ["true"], **options).kind is PermissionError
    finally:
        os.seteuid(0)


def test_no_descriptor_for_the_pipes(spawner: Spawner) -> None:
    """EMFILE for a pipe is an OSError, and the pipes that could be had are closed."""

    async def with_room_for(count: int) -> Result | Failure:
        highest = max(map(int, os.listdir("/proc/self/fd")))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest)]
        for filler in fillers:
            if filler > highest:
                os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, hard))
        try:
            return end((await spawner.spawn(command(["true"], **PIPES))).claim())
        except OSError as error:
            return failure(error)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for filler in fillers:
                if filler <= highest:
                    os.close(filler)

    with asyncio.Runner() as runner:
        runner.run(spawner.spawn(command(["true"]))).discard()
        found = [runner.run(with_room_for(count)) for count in range(14)]
    assert set(found) == {Failure(OSError, 24, None), Result(0, b"", b"")}
    assert found[0] != found[-1]


AUDIT = """
    import asyncio, subprocess, sys
    from governess.children._spawn.command import Command
    from governess.children._spawn import spawner

    seen = []
    sys.addaudithook(lambda event, args: event == "subprocess.Popen" and seen.append(args))

    async def main():
        for args, shell, options in [
            (["true", "a"], False, {"cwd": "/", "env": {"PATH": "/bin:/usr/bin"}}),
            ("true", True, {}),
            ("true", True, {"executable": "/bin/bash"}),
            (["x"], False, {"executable": "true"}),
            (b"true", False, {}),
        ]:
            spawned = (await spawner().spawn(Command(args, shell, None, None, None, options))).claim()
            spawned.child.wait_for_exit()
            spawned.child.reap()
            assert subprocess.Popen(args, shell=shell, **options).wait() == 0
            assert len(seen) == 2 and [*map(repr, seen[0])] == [*map(repr, seen[1])], seen
            seen.clear()

    asyncio.run(main())
"""


@pytest.mark.parametrize("pure", ["", "1"])
def test_audit_event(pure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit event of a start is Popen's, with the same arguments."""
    monkeypatch.setenv("GOVERNESS_PURE", pure)
    run_fresh(AUDIT)


POSIX_SPAWN = """
    import asyncio, subprocess, sys
    from governess.children._spawn.command import Command
    from governess.children._spawn import spawner

    seen = []
    events = "subprocess.Popen", "os.posix_spawn"
    sys.addaudithook(lambda event, args: event in events and seen.append((event, *args)))

    async def main():
        for args, shell, options in [
            (["/bin/true"], False, {}),
            (["true"], False, {}),
            ("true", True, {}),
            (["/bin/true"], False, {"close_fds": False}),
            (["/bin/true"], False, {"close_fds": False, "env": {}}),
            (["/bin/true"], False, {"cwd": "/"}),
            (["/bin/true"], False, {"umask": 0o22}),
            (["/bin/true"], False, {"pass_fds": (0,)}),
            (["/bin/true"], False, {"start_new_session": True}),
            (["/bin/true"], False, {"process_group": 0}),
        ]:
            spawned = (await spawner().spawn(Command(args, shell, None, None, None, options))).claim()
            spawned.child.wait_for_exit()
            spawned.child.reap()
            ours = [*map(repr, seen)]
            seen.clear()
            assert subprocess.Popen(args, shell=shell, **options).wait() == 0
            assert ours == [*map(repr, seen)], (ours, seen)
            seen.clear()

    asyncio.run(main())
"""


@pytest.mark.parametrize("pure", ["", "1"])
def test_audit_event_of_posix_spawn(pure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Popen would call os.posix_spawn, the audit event of that is raised too, with the same arguments."""
    monkeypatch.setenv("GOVERNESS_PURE", pure)
    run_fresh(POSIX_SPAWN)


def test_audit_hook_can_forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the audit hook raises is raised, and there is no child."""
    if _native is None:
        pytest.skip("the extension is not built")
    script = """
        import asyncio, os, sys
        from governess.children._spawn.command import Command
        from governess.children._spawn import spawner

        def forbid(event, args):
            if event == "subprocess.Popen":
                raise PermissionError("no")

        sys.addaudithook(forbid)
        try:
            asyncio.run(spawner().spawn(Command(["true"])))
        except PermissionError:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                sys.exit(0)
        sys.exit("not forbidden")
    """
    run_fresh(script)
