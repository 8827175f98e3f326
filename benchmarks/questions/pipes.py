"""How many bytes a second go through a child's pipes?"""

from __future__ import annotations

import subprocess
import time

from benchmarks.contestants import EVERYONE, library
from benchmarks.model import Answers, Case, Measure, Question

CHUNK = 65536
SHELL = "cat | cat in a shell"


def answer(contestant: str, megabytes: int, way: str) -> Answers:
    """Read what a child writes (`way` is "stdout"), or write what it reads ("stdin")."""
    size = megabytes * 2**20
    began = time.perf_counter()
    if contestant == SHELL:
        subprocess.run(["/bin/sh", "-c", f"head -c {size} /dev/zero | cat | cat >/dev/null"], check=True)
        return {"bytes": size / (time.perf_counter() - began)}
    tool = library(contestant)

    async def main() -> float:
        await tool.child(["/bin/true"], False)
        began = time.perf_counter()
        if way == "stdout":
            total = await tool.read_all(["/usr/bin/head", "-c", str(size), "/dev/zero"])
            assert total == size, total
        else:
            await tool.write_all(["/bin/cat"], bytes(CHUNK), size // CHUNK)
        return time.perf_counter() - began

    return {"bytes": size / tool.run(main)}


def cases(quick: bool) -> list[Case]:
    """Through stdout and through stdin."""
    everyone = tuple(name for name in EVERYONE if name != "governess + popen")
    return [
        Case(f"through {way}", {"megabytes": 16 if quick else megabytes, "way": way}, (*everyone, SHELL))
        for way, megabytes in (("stdout", 1024), ("stdin", 2048))  # half a second or more, of who is slow
    ]


QUESTION = Question(
    name="pipes",
    title="Bytes through pipes",
    base="asyncio",
    measures=(Measure("bytes", "MB a second", scale=1e-6, more_is_better=True),),
    answer=answer,
    cases=cases,
)
