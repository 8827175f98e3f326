"""Running `governess up` as a process of its own, with what it writes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from forked import Starts

__all__ = ["Up", "is_alive", "wait_until"]


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and not only its zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(holds: Any, seconds: float = 30) -> Any:
    """Wait until the function returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.01)
    return value


class Up:
    """Starts `governess up` in a folder, and talks to it; what is left in the end is killed."""

    def __init__(self, starts: Starts, folder: Path, runtime: Path) -> None:
        self._starts = starts
        self.folder = folder
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}
        self.env.pop("NOTIFY_SOCKET", None)
        self.process: subprocess.Popen[bytes] | None = None
        self.lines: list[tuple[float, str]] = []
        self._threads: list[threading.Thread] = []
        self._started: list[subprocess.Popen[bytes]] = []

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def start(self, *words: str, prefix: tuple[str, ...] = (), **options: Any) -> subprocess.Popen[bytes]:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
        options = {"cwd": self.folder, "env": self.env, **streams}
        if prefix:
            argv = [*prefix, sys.executable, "-m", "governess", "up", *words]
            self.process = process = subprocess.Popen(argv, **options)
        else:
            self.process = process = self._starts.popen("up", *words, **options)
        self._started.append(process)
        self.lines = lines = []
        if process.stdout is not None:
            thread = threading.Thread(target=self._read, args=(process, lines))
            thread.start()
            self._threads.append(thread)
        return process

    def _read(self, process: subprocess.Popen[bytes], lines: list[tuple[float, str]]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append((time.monotonic(), line.decode(errors="replace").rstrip("\n")))

    def expect(self, text: str, count: int = 1, seconds: float = 30) -> float:
        """Wait until so many lines with the text have come; return when the last of them came."""

        def times() -> list[float]:
            return [when for when, line in list(self.lines) if text in line]

        try:
            return wait_until(lambda: len(found := times()) >= count and found, seconds)[count - 1]
        except AssertionError:
            raise AssertionError(f"{text!r} has not come; there is\n{self.text()}") from None

    def text(self) -> str:
        return "\n".join(line for _, line in list(self.lines))

    def run(self, *words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `governess WORDS…` to its end."""
        return self._starts.run(*words, cwd=self.folder, env=self.env, text=True, timeout=seconds)

    def ps(self, *names: str) -> dict[str, dict[str, Any]]:
        """What `governess ps --json` says, by the names of the copies."""
        done = self.run("ps", "--json", *names)
        assert done.returncode == 0, done.stderr
        return {each["name"]: each for each in json.loads(done.stdout)}

    def states(self) -> dict[str, str]:
        return {name: status["state"] for name, status in self.ps().items()}

    def wait(self, seconds: float = 60) -> int:
        assert self.process is not None
        status = self.process.wait(seconds)
        for thread in self._threads:
            thread.join(seconds)
        return status

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.wait()

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
        for thread in self._threads:
            thread.join(10)
        for process in self._started:
            if process.stdout is not None:
                process.stdout.close()
