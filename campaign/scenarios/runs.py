"""Programs that are run to their end, alone and in pipelines."""

from __future__ import annotations

import io
from asyncio.subprocess import DEVNULL

from campaign.case import Case, Wrong
from governess.subprocess import ProcessError, ProcessTimeout, cmd, run

__all__ = ["SCENARIOS"]


async def run_plain(case: Case) -> None:
    """What it writes is kept, as bytes or as text."""
    code, encoding = case.code(), case.rng.choice((None, "utf-8"))
    done = await run(*case.child("say", "word", code), encoding=encoding)
    case.check(done.exit, code)
    word = b"word\n" if encoding is None else "word\n"
    case.check_equal("outputs", (done.stdout, done.stderr), (word, word))


async def run_uncaptured(case: Case) -> None:
    """What it writes goes elsewhere."""
    code = case.code()
    done = await run(*case.child("say", "word", code), capture=False, stdout=DEVNULL, stderr=DEVNULL)
    case.check(done.exit, code)
    case.check_equal("outputs", (done.stdout, done.stderr), (None, None))


async def run_with_input(case: Case) -> None:
    """It copies its input."""
    code, text = case.code(), "line\n" * case.rng.choice((0, 1, 1000, 30_000))
    done = await run(*case.child("copy", code), input=text, encoding="ascii")
    case.check(done.exit, code)
    case.check_equal("output", done.stdout, text)


async def run_in_time(case: Case) -> None:
    """It may be ended by a timeout."""
    code, length = case.code(), case.rng.randint(0, 30)
    try:
        done = await run(*case.child("sleep", length, code), timeout=case.rng.random() * 0.03, grace=1)
    except ProcessTimeout as error:
        if error.exit is not None:
            case.check(error.exit, code, -15, -9)
    else:
        case.check(done.exit, code)


async def run_with_a_listener(case: Case) -> None:
    """A copy of what it writes, and a callback for each line."""
    code, copy, lines = case.code(), io.BytesIO(), []
    done = await run(*case.child("say", "word", code), tee=copy, on_line=lines.append, stderr=DEVNULL)
    case.check(done.exit, code)
    case.check_equal("copy", copy.getvalue(), b"word\n")
    case.check_equal("lines", [line.text for line in lines], ["word"])


async def run_checked(case: Case) -> None:
    """A failure is an error."""
    try:
        await run(*case.child("say", "word", 3), check=True)
    except ProcessError as error:
        case.check(error.exit, 3)
        case.check_equal("output", error.stdout, b"word\n")
    else:
        raise Wrong("a failure was none")


async def run_in_a_terminal(case: Case) -> None:
    """A terminal of its own."""
    if not case.has_native:
        return
    code = case.code()
    done = await run(*case.child("say", "word", code), pty=case.rng.choice((True, (30, 90))))
    case.check(done.exit, code)
    case.check_equal("output", done.stdout, b"word\r\nword\r\n")


async def run_with_a_holder(case: Case) -> None:
    """A process of its own holds the pipes when it has exited, and is ended with its group."""
    if not case.keeps_groups:
        return
    code = case.code()
    done = await run(*case.child("leave", 60_000, code), drain=0.01, grace=0.5)
    case.check(done.exit, code)


async def run_a_pipeline(case: Case) -> None:
    """Each program reads what the one before it writes."""
    size = case.rng.choice((10, 70_000))
    line = cmd(*case.child("fill", size, 0)) | case.child("copy", 0) | case.child("copy", 0)
    done = await line.run()
    if any(exit.lost for exit in done.exits) and case.may_lose:
        return  # one whose end is not known counts as one that has failed, and ends the others
    for exit in done.exits:
        case.check(exit, 0)
    case.check_equal("size of the output", len(done.stdout), size)


async def run_a_pipeline_that_fails(case: Case) -> None:
    """One of them fails, and the others are ended."""
    line = cmd(*case.child("sleep", 60_000, 0)) | case.child("exit", 5)
    done = await line.run(grace=1)
    case.check(done.exit, 5, *([255] if case.may_lose else []))


SCENARIOS = (
    (run_plain, 10),
    (run_uncaptured, 6),
    (run_with_input, 5),
    (run_in_time, 6),
    (run_with_a_listener, 4),
    (run_checked, 3),
    (run_in_a_terminal, 2),
    (run_with_a_holder, 2),
    (run_a_pipeline, 2),
    (run_a_pipeline_that_fails, 2),
)
