"""Record `governess run` and `governess up` in a terminal, as the pictures run.svg and up.svg beside this file.

`make terminal` runs it: a shell in a pseudo-terminal gets the keys below, and pyte keeps the screen.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyte
from svg import Frame, Row, draw

HERE = Path(__file__).parent
COLUMNS = 50
# The shortest time between two frames, and the longest wait for what a step expects, in seconds.
FRAME, DEADLINE = 0.15, 30.0
KEY = 0.02
CTRL_C = "\x03"


class Step(NamedTuple):
    """Keys to type, and what must be on the screen before the next step."""

    keys: str
    until: Callable[[Sequence[str]], bool]


class Recording(NamedTuple):
    """One picture.

    Attributes:
        title: what it shows, for those who cannot see it.
        rows: of the terminal.
        files: what is in the folder, by name.
        steps: what is typed.
    """

    title: str
    rows: int
    files: dict[str, str]
    steps: list[Step]


def shows(text: str) -> Callable[[Sequence[str]], bool]:
    """Return a condition: the text is on the screen."""
    return lambda lines: any(text in line for line in lines)


def prompts(lines: Sequence[str]) -> bool:
    """Tell whether the shell waits for a command."""
    written = [line.rstrip() for line in lines if line.strip()]
    return bool(written) and written[-1] == "$"


RUN = Recording(
    "governess run starts four scripts, three at once; one fails, one is ended at its timeout, and a table lists both",
    14,
    {
        "fetch.py": "import time; time.sleep(0.8); print('42 pages')",
        "clean.py": "import time; time.sleep(1.4); print('41 pages are clean')",
        "train.py": "import sys, time; time.sleep(1); sys.exit('train.py: no GPU')",
        "watch.py": "import time; time.sleep(60)",
    },
    [
        Step("governess run -j 3 --timeout 3s \\\n", shows("> ")),
        Step("    python {} ::: *.py\n", prompts),
        Step("echo $?\n", prompts),
    ],
)

UP = Recording(
    "governess up starts a database, waits until it is ready, starts a server, restarts it when it dies, and ends both",
    27,
    {
        "db": "sleep 0.7; echo listens; exec sleep 1000",
        "web": "echo serves; [ -e crashed ] && exec sleep 1000; touch crashed; sleep 1.5; echo out of memory; exit 3",
        "governess.toml": """\
[services.db]
run = "sh db"
ready = {log = "listens"}
[services.web]
run = "sh web"
after = ["db"]
""",
    },
    [
        Step("cat governess.toml\n", prompts),
        Step("governess up\n", lambda lines: sum("| serves" in line for line in lines) == 2),
        Step(CTRL_C, prompts),
    ],
)


class Terminal:
    """A shell in a pseudo-terminal, and what its screen has shown."""

    def __init__(self, folder: str, rows: int) -> None:
        self.frames: list[Frame] = []
        self._screen = pyte.Screen(COLUMNS, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._began = time.monotonic()
        self.pid, self._terminal = os.forkpty()
        if self.pid == 0:
            os.chdir(folder)
            environment = {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": folder,
                "XDG_RUNTIME_DIR": folder,
                "LANG": "C.UTF-8",
                "TERM": "xterm-256color",
                "PS1": "$ ",
            }
            os.execvpe("sh", ["sh", "-c", f"stty rows {rows} cols {COLUMNS}; exec sh -i"], environment)

    def play(self, step: Step) -> None:
        """Type the keys, and look at the screen until it shows what is expected.

        Raises:
            TimeoutError: it does not.
        """
        for key in step.keys:
            os.write(self._terminal, key.encode())
            self._look(KEY)
        deadline = time.monotonic() + DEADLINE
        self._look(FRAME)
        while not step.until(self._screen.display):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {step.keys!r} the screen shows\n" + "\n".join(self._screen.display))
            self._look(FRAME)

    def close(self) -> None:
        """End the shell."""
        os.kill(self.pid, signal.SIGHUP)
        os.close(self._terminal)
        os.waitpid(self.pid, 0)

    def _look(self, seconds: float) -> None:
        """Read for some time, and keep the screen if it has changed."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._terminal], [], [], left)[0]:
                self._stream.feed(os.read(self._terminal, 65536))
        rows = self._rows()
        if not self.frames or self.frames[-1].rows != rows:
            self.frames.append(Frame(time.monotonic() - self._began, rows))

    def _rows(self) -> list[Row]:
        buffer = self._screen.buffer
        return [[buffer[row][column] for column in range(COLUMNS)] for row in range(self._screen.lines)]


def record(recording: Recording) -> list[Frame]:
    """Play a recording in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in recording.files.items():
            Path(folder, name).write_text(text)
        terminal = Terminal(folder, recording.rows)
        try:
            terminal.play(Step("", prompts))
            for step in recording.steps:
                terminal.play(step)
        finally:
            terminal.close()
        return terminal.frames


def main() -> None:
    """Record both."""
    for name, recording in (("run", RUN), ("up", UP)):
        (HERE / f"{name}.svg").write_text(draw(record(recording), recording.title))
        print(f"docs/terminal/{name}.svg")


if __name__ == "__main__":
    main()
