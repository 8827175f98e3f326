"""A KeyboardInterrupt at any line of a start or a reap leaves no child without an owner, and no descriptor."""

import pytest

from fresh import run_fresh

SCRIPT = """
import asyncio, contextlib, gc, linecache, logging, os, signal, sys, time, warnings
import governess
from governess.children import children
from governess.subprocess import PIPE, create_subprocess_exec

warnings.simplefilter("ignore")  # of what the interrupt has left open, or never awaited
logging.disable(logging.CRITICAL)
sys.unraisablehook = lambda _: None  # an interrupt inside a finalizer

class Interrupt:
    '''Raises KeyboardInterrupt at the n-th line of ours that this thread runs.

    Not as a block is left that has entered at a line with `with`: no signal is handled before its __exit__ is called.
    '''

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, argument):
        return Lines(self, frame) if "/governess/" in frame.f_code.co_filename else None

class Lines:
    def __init__(self, interrupt, frame):
        self.interrupt, self.entered = interrupt, set()

    def __call__(self, frame, event, argument):
        if event != "line":
            return self
        if frame.f_lineno in self.entered:
            return self
        if linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith(("with ", "async with ")):
            self.entered.add(frame.f_lineno)
        self.interrupt.left -= 1
        if self.interrupt.left == 0:
            raise KeyboardInterrupt
        return self

async def of_a_start():
    global process
    process = await create_subprocess_exec("sleep", "60", stdout=PIPE)

async def of_a_reap():
    global process
    process = await create_subprocess_exec("true", stdout=PIPE)
    await process.communicate()

def attempt(main, at):
    '''Return whether the interrupt came before the end.'''
    global process
    process = None
    loop = factory()
    interrupt = Interrupt(at)
    try:
        sys.settrace(interrupt)
        try:
            loop.run_until_complete(main())
        finally:
            sys.settrace(None)
    except KeyboardInterrupt:
        pass
    # As asyncio.run() ends.
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with contextlib.suppress(KeyboardInterrupt):  # a task that was interrupted passes it on to the next
            loop.run_until_complete(asyncio.wait([task]))
    if process is not None:
        try:
            process.kill()
        except ProcessLookupError:
            pass
    loop.close()
    return interrupt.left <= 0

def kernels_children():
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as file:
                found += file.read().split()
        except OSError:
            pass
    return found

def check(what):
    end = time.monotonic() + 20
    process = None
    while kernels_children() or children() or len(os.listdir("/proc/self/fd")) > open_before:
        gc.collect()
        assert time.monotonic() < end, (what, kernels_children(), children(), os.listdir("/proc/self/fd"))
        time.sleep(0.001)

factory = %(factory)s
for main in (of_a_start, of_a_reap):
    attempt(main, -1)  # what comes once
gc.collect()
open_before = len(os.listdir("/proc/self/fd"))
count = 0
for main in (of_a_start, of_a_reap):
    at = 1 + %(first)d
    while attempt(main, at):
        process = None
        check((main.__name__, at))
        at += %(step)d
        count += 1
print(count)
"""


@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("spawner", ["native", "pure"])
def test_an_interrupt_at_each_line(step: int, spawner: str, loop_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever line is interrupted, the child is ended and reaped, or is the caller's; every line in the slow test."""
    if spawner == "pure":
        monkeypatch.setenv("GOVERNESS_PURE", "1")
    base = "asyncio.SelectorEventLoop" if loop_name == "asyncio" else "__import__('uvloop').Loop"
    script = SCRIPT % {"factory": f"governess.watched({base})", "step": step, "first": hash(loop_name) % step}
    assert int(run_fresh(script)) >= (600 if step == 1 else 20)
