"""Rounds in which the contestants take turns, each in a fresh process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.model import Answers, Case, Found, Missing, Question

__all__ = ["ask"]

ROOT = Path(__file__).parent.parent
# A contestant that hangs would hold up all others, in seconds.
PATIENCE = 180


def ask(question: Question, quick: bool, rounds: int, say: Callable[[str], None]) -> Found:
    """Ask everyone in turn: A B C, C B A, … through all cases, so that what slows the machine slows them alike.

    Temporary files stay until all have answered.

    Raises:
        RuntimeError: a contestant fails; the text has its last words.
    """
    found = Found(question.name, quick, describe_machine())
    cases = question.cases(quick)
    for case in cases:
        found.settings[case.name] = dict(case.settings)
        found.rounds[case.name] = {}
        found.missing[case.name] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            for case in cases:
                say(f"{question.name}: round {number + 1} of {rounds}, {case.name}")
                _ask_everyone(question, case, found, case.contestants[:: -1 if number % 2 else 1], scratch)
    return found


def _ask_everyone(question: Question, case: Case, found: Found, contestants: Sequence[str], scratch: str) -> None:
    for contestant in contestants:
        if contestant in found.missing[case.name]:
            continue
        try:
            answers = _ask_one(question, case, contestant, scratch)
        except Missing as missing:
            found.missing[case.name][contestant] = str(missing)
        else:
            found.rounds[case.name].setdefault(contestant, []).append(answers)


def _ask_one(question: Question, case: Case, contestant: str, scratch: str) -> Answers:
    command = [*case.wrapper(), sys.executable, "-m", "benchmarks.worker", question.name, contestant]
    try:
        ran = subprocess.run(
            [*command, json.dumps(dict(case.settings))],
            cwd=ROOT,
            env=_environment(contestant) | {"TMPDIR": scratch},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"not done within {PATIENCE} s") from None
    if ran.returncode != 0:
        last_words = "\n".join(ran.stderr.strip().splitlines()[-15:])
        raise RuntimeError(
            f"{question.name}, {case.name}: {contestant} ends with {ran.returncode} and says\n{last_words}"
        )
    said = json.loads(ran.stdout)
    if "missing" in said:
        raise Missing(said["missing"])
    return said


def _environment(contestant: str) -> dict[str, str]:
    """Warnings of deprecated names are silenced, asyncio's own watchers among them; nobody else's settings count."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOVERNESS_", "PYTHON"))}
    environment["PYTHONWARNINGS"] = "ignore"
    if path := os.environ.get("PYTHONPATH"):
        environment["PYTHONPATH"] = path
    if contestant.endswith(("popen", "pure")):
        environment["GOVERNESS_PURE"] = "1"
    return environment
