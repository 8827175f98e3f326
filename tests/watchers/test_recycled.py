"""A child whose number was another's before, which somebody else has reaped: each is told its own end, and once."""

import shutil
import subprocess
import sys

import pytest

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

#: As PID 1 of a namespace, which may say which number comes next. A thread of the spawner takes a number, too.
SCRIPT = """
import asyncio, logging, os, threading, time
import governess
from governess.subprocess import PIPE, create_subprocess_exec
from governess.watchers import choose_watcher

logging.disable(logging.WARNING)  # "somebody else reaped it"
ROUNDS = 10
told, recycled = [], 0

def next_number(number):
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(number - 1))

def note(pid, returncode, name):
    told.append((name, int(returncode)))

class Second(threading.Thread):
    '''A second loop, which starts a child with the number of the first one if it can.'''

    def run(self):
        with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
            runner.run(self.main())

    async def main(self):
        others = []
        for distance in (1, 0, 2, 3, 1, 0, 2, 3):
            next_number(self.wanted - distance)
            process = await create_subprocess_exec("sh", "-c", "read line; exit 4", stdin=PIPE)
            if process.pid == self.wanted:
                break
            process.kill()
            others.append(process)  # whose end nobody notices before the other loop goes on
        self.pid = process.pid
        self.is_there.set()
        while not self.may_go_on.is_set():
            await asyncio.sleep(0.002)
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 20) == 4, process.returncode
        for other in others:
            await asyncio.wait_for(other.wait(), 20)

async def main():
    global recycled
    for _ in range(ROUNDS):
        first = await create_subprocess_exec("sleep", "60")
        second = Second()
        second.wanted, second.is_there, second.may_go_on = first.pid, threading.Event(), threading.Event()
        # From here on this loop, which the watcher works through, stands still.
        first.terminate()
        os.waitpid(first.pid, 0)
        second.start()
        assert second.is_there.wait(60)
        recycled += second.pid == first.pid
        assert await asyncio.wait_for(first.wait(), 20) in (-15, 255), first.returncode
        second.may_go_on.set()
        await asyncio.to_thread(second.join)

async def handlers():
    '''The same for two handlers of the watcher's own, in one loop.'''
    for _ in range(ROUNDS):
        del told[:]
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], os.environ)
        watcher.add_child_handler(pid, note, "first")
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        os.waitpid(pid, 0)
        next_number(pid)
        other = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 4"], os.environ)
        watcher.add_child_handler(other, note, "second")
        end = time.monotonic() + 20
        while len(told) < 2:
            assert time.monotonic() < end, told
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.05)
        names = dict(told)
        assert len(told) == 2 and names["first"] in (3, 255) and names["second"] == 4, told

watcher = choose_watcher({watcher!r}).factory()
with governess.DefaultEventLoopPolicy({loop}, watcher=watcher) as policy:
    with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
        runner.run(main())
        runner.run(handlers())
assert recycled >= ROUNDS // 2, recycled
watcher.close()
"""


def can_unshare() -> bool:
    return (
        shutil.which("unshare") is not None and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not can_unshare(), reason="no PID namespace can be had here")
@pytest.mark.parametrize("watcher", ["safe", "fast", "multiloop"])
def test_a_recycled_number(watcher: str, loop_name: str) -> None:
    """A child that was reaped by somebody else, and the next one with its number, are told apart from two loops."""
    loop = "None" if loop_name == "asyncio" else "__import__('uvloop').Loop"
    script = SCRIPT.replace("{watcher!r}", repr(watcher)).replace("{loop}", loop)
    # The namespace's first process is a shell, since orphans are not the subject here.
    command = [*UNSHARE, "sh", "-c", '"$@"; exit $?', "init", sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
