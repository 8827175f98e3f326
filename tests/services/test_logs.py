"""Log files, and output at full speed."""

import asyncio
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governess.services import Log, Service, State
from governess.services._logfile import LogFile
from governess.services._output import LineJoiner
from supervision import supervised


@given(st.lists(st.binary(max_size=30)))
def test_lines_are_joined(pieces: list[bytes]) -> None:
    """However the bytes come, whole lines are passed on, and nothing is lost; the last line gets an end."""
    joiner = LineJoiner()
    blocks = [joiner.feed(piece) for piece in pieces if piece] + [joiner.feed(b"")]
    written = b"".join(pieces)
    assert b"".join(blocks) == written + b"\n" * (not written.endswith(b"\n") and bool(written))
    assert all(block.endswith(b"\n") for block in blocks if block)


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=60), st.integers(20, 100), st.integers(0, 3))
def test_rotation(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], size: int, keep: int) -> None:
    """No file is larger than it may be but for one with a single line; the last lines are all there, in order."""
    folder = tmp_path_factory.mktemp("logs")
    file = LogFile(str(folder / "x.log"))
    lines = [b"%d" % index + b"x" * length + b"\n" for index, length in enumerate(lengths)]
    for start in range(0, len(lines), 3):
        assert file.write(b"".join(lines[start : start + 3]), size, keep) is None
    file.close()
    names = [f"x.log.{number}" for number in range(keep, 0, -1)] + ["x.log"]
    assert {path.name for path in folder.iterdir()} <= set(names)
    contents = [(folder / name).read_bytes() for name in names if (folder / name).exists()]
    assert all(len(content) <= size or content.count(b"\n") == 1 for content in contents)
    assert b"".join(lines).endswith(b"".join(contents))
    if len(contents) <= keep:
        assert b"".join(lines) == b"".join(contents)


def test_a_file_that_is_moved_away(tmp_path: Path) -> None:
    """When another program moves or removes the file, the next lines go into a new one."""
    path = tmp_path / "x.log"
    file = LogFile(str(path))
    file.write(b"one\n", 1000, 1)
    path.rename(tmp_path / "moved")
    file.write(b"two\n", 1000, 1)
    file.close()
    assert path.read_bytes() == b"two\n"
    assert (tmp_path / "moved").read_bytes() == b"one\n"


def test_a_full_disk(run: Any, tmp_path: Path) -> None:
    """A disk that is full stops no service, is told once, and so is its end; no line is torn."""
    log = tmp_path / "x.log"

    async def main() -> None:
        command = "i=0; while :; do echo line $((i=i+1)); sleep 0.005; done"
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        async with supervised(Service("one", command, log=Log(str(log)))) as seen:
            await seen.until(lambda: len(seen.lines) > 5)
            resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 3, limits[1]))
            try:
                await seen.until(lambda: any("cannot write" in text for text in seen.told()))
                now = len(seen.lines)
                await seen.until(lambda: len(seen.lines) > now + 20)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            await seen.until(lambda: any("is written again" in text for text in seen.told()))
            now = len(seen.lines)
            await seen.until(lambda: len(seen.lines) > now + 5)
            assert seen.supervisor.status()[0].state is State.READY
            told = [text for text in seen.told() if str(log) in text]
        assert told[0] == f"cannot write {log}: File too large; its lines are dropped until it can be written"
        assert len(told) == 2
        lines = log.read_text().splitlines()
        assert all(line.startswith("line ") and line[5:].isdigit() for line in lines)
        numbers = [int(line[5:]) for line in lines]
        assert numbers == sorted(set(numbers))
        assert len(numbers) < numbers[-1]

    run(main())


def test_the_log_of_copies(run: Any, tmp_path: Path) -> None:
    """`{}` in the name of a log stands for the name of the copy; a relative one is in the folder of the service."""

    async def main() -> None:
        service = Service("web", "echo $PS", copies=2, cwd=str(tmp_path), log=Log("logs/{}.log"), restart="never")
        async with supervised(service) as seen:
            await seen.supervisor.wait()
        assert {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()} == {
            "web.1.log": "web.1\n",
            "web.2.log": "web.2\n",
        }

    run(main())


WRITER = """
import sys
name, size = sys.argv[1], int(sys.argv[2])
number = written = 0
while written < size:
    lines = "".join(f"{name} {number + i} {'x' * ((number + i) % 150)}\\n" for i in range(1000))
    number += 1000
    written += len(lines)
    sys.stdout.write(lines)
"""


@pytest.mark.slow
def test_full_speed(tmp_path: Path) -> None:
    """200 MB from four services at once: the files stay within bounds, no line is torn or lost, memory stays low."""
    program = f"""
import asyncio, json, resource, sys
from governess.services import Log, Service, Supervisor
services = [
    Service(f"w{{n}}", (sys.executable, "-c", {WRITER!r}, f"w{{n}}", str(50 << 20)),
            log=Log(f"w{{n}}.log", 4 << 20, 20 if n else 3), restart="never", cwd={str(tmp_path)!r})
    for n in range(4)
]
async def main():
    async with Supervisor(services, on_output=lambda name, lines: None) as supervisor:
        return await supervisor.wait()
status = asyncio.run(main())
print(json.dumps([status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=110, check=True)
    status, peak = map(int, done.stdout.strip("[]\n").split(","))
    assert status == 0
    assert peak < 60 * 1024
    for number in range(4):
        files = sorted(
            tmp_path.glob(f"w{number}.log*"),
            key=lambda path: -int(path.suffix[1:] or 0) if path.suffix != ".log" else 1,
        )
        assert len(files) == (4 if number == 0 else 13)
        assert all(path.stat().st_size <= 4 << 20 for path in files)
        content = b"".join(path.read_bytes() for path in files).splitlines()
        numbers = [int(line.split()[1]) for line in content]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert number == 0 or numbers[0] == 0
        assert all(
            line == b"w%d %d %s" % (number, n, b"x" * (n % 150)) for n, line in zip(numbers, content, strict=True)
        )
    assert os.path.exists(tmp_path / "w0.log.3")


def test_a_slow_reader_holds_the_service_and_not_the_loop(run: Any) -> None:
    """While the output cannot be written, the service waits; the loop goes on, and nothing is lost."""
    import threading

    async def main() -> None:
        gate = threading.Event()
        got: list[int] = []

        def slow(name: str, lines: bytes) -> None:
            gate.wait()
            got.append(len(lines))

        from governess.services import Supervisor

        command = (sys.executable, "-c", "import sys; [sys.stdout.write('x' * 999 + '\\n') for _ in range(20000)]")
        async with Supervisor([Service("one", command, restart="never")], on_output=slow) as supervisor:
            await asyncio.sleep(0.5)
            assert supervisor.status()[0].state is State.READY
            gate.set()
            assert await supervisor.wait() == 0
        assert sum(got) == 20_000_000

    run(main())
