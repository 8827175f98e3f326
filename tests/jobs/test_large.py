"""Runs of very many jobs: what they cost before the first one starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("needs /proc", allow_module_level=True)

CPU = os.sysconf("SC_CLK_TCK")


def start_of_first(folder: Path, count: int) -> tuple[float, int]:
    """Return the seconds of CPU time until the first of so many jobs runs, and the bytes of memory at their peak."""
    (folder / "list").write_text("".join(f"{number}\n" for number in range(count)))
    os.mkfifo(folder / f"up{count}")
    script = f"echo >up{count}; exec sleep 60"
    process = subprocess.Popen(
        [sys.executable, "-m", "governess", "run", "-j1", "--", "sh", "-c", script, "sh", "{}", "::::", "list"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        (folder / f"up{count}").read_text()
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    finally:
        process.terminate()
        process.wait()
    return (int(fields[11]) + int(fields[12])) / CPU, int(status["VmHWM"].split()[0]) * 1024


@pytest.mark.slow
def test_very_many_arguments(tmp_path: Path) -> None:
    """50,000 arguments delay the first command by less than 0.2 s, and the run takes at most 60 MB."""
    alone = min(start_of_first(tmp_path / folder, 1)[0] for folder in made(tmp_path, "abc"))
    many = [start_of_first(tmp_path / folder, 50_000) for folder in made(tmp_path, "def")]
    assert min(cpu for cpu, _ in many) - alone < 0.2
    assert max(memory for _, memory in many) <= 60_000_000


def made(folder: Path, names: str) -> str:
    for name in names:
        (folder / name).mkdir()
    return names
