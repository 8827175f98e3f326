"""The leak fixture finds each kind of leak, and nothing where there is none."""

import sys
from pathlib import Path

import pytest

import leaks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the leaks are planted by Unix means")

LEAKY = """
import os, signal, socket, subprocess, threading, time

kept = []

def spawn(*command):
    kept.append(subprocess.Popen(command))
    return kept[-1].pid

def test_descriptor():
    kept.append(os.open(os.devnull, os.O_RDONLY))

def test_thread():
    threading.Thread(target=time.sleep, args=(5,), name='idler', daemon=True).start()

def test_child():
    spawn('sleep', '4')

def test_child_of_another_thread():
    thread = threading.Thread(target=lambda: spawn('sleep', '5'))
    thread.start()
    thread.join()

def test_zombie():
    os.waitid(os.P_PID, spawn('true'), os.WEXITED | os.WNOWAIT)

def test_sigchld():
    signal.signal(signal.SIGCHLD, lambda *_: None)

def test_sigint():
    signal.signal(signal.SIGINT, signal.SIG_IGN)

def test_sigterm():
    signal.signal(signal.SIGTERM, lambda *_: None)

ours, theirs = socket.socketpair()
ours.setblocking(False)

def test_wakeup_descriptor():
    signal.set_wakeup_fd(ours.fileno())
"""

MESSAGES = [
    "the test leaked descriptor * (/dev/null)",
    "the test leaked thread 'idler'",
    "the test leaked child * (sleep 4)",
    "the test leaked child * (sleep 5)",
    "the test leaked child * (a zombie)",
    "the test leaked a handler of SIGCHLD *",
    "the test leaked a handler of SIGINT *",
    "the test leaked a handler of SIGTERM *",
    "the test leaked signal.set_wakeup_fd(*)",
]

CLEAN = """
import os, subprocess, threading, time

def test_what_is_closed_and_reaped():
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    subprocess.run(['true'], check=True)

def test_what_ends_by_itself():
    threading.Thread(target=time.sleep, args=(0.05,)).start()

def test_what_the_collector_closes():
    class Holder:
        def __init__(self):
            self.itself = self
            self.fd = os.open(os.devnull, os.O_RDONLY)
        def __del__(self):
            os.close(self.fd)
    Holder()

def test_thread_as_old_as_the_process():
    threading.Thread(target=time.sleep, args=(5,), name='governess-spawn-1', daemon=True).start()
"""


def run(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    pytester.makeini(f"[pytest]\npythonpath = {Path(leaks.__file__).parent}")
    pytester.makeconftest("import leaks\nfrom leaks import no_leaks\nleaks.PATIENCE = 0.2")
    pytester.makepyfile(tests)
    return pytester.runpytest_subprocess()


def test_leaks_are_found(pytester: pytest.Pytester) -> None:
    """Each test that leaks fails, and the message names what leaked."""
    result = run(pytester, LEAKY)
    result.assert_outcomes(passed=len(MESSAGES), errors=len(MESSAGES))
    result.stdout.fnmatch_lines(MESSAGES)


def test_nothing_else_is_found(pytester: pytest.Pytester) -> None:
    """What is closed, collected, ends by itself or lives as long as the process is no leak."""
    run(pytester, CLEAN).assert_outcomes(passed=4)
