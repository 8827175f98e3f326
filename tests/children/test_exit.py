"""What an Exit knows."""

import copy
import os
import pickle
import resource
import signal

import pytest

from governess import Exit


class TestExit:
    def test_is_the_returncode(self) -> None:
        """An Exit is an int: it compares, hashes, prints and formats as the returncode."""
        exit = Exit(3)
        assert exit == 3
        assert {exit: 1}[3] == 1
        assert f"{exit} {exit!r} {exit!s}" == "3 3 3"
        assert not Exit(0)

    def test_signal(self) -> None:
        """A negative returncode is a signal, with a name if it has one."""
        assert Exit(-9).signal is signal.SIGKILL
        assert Exit(-60).signal == 60
        assert Exit(9).signal is None

    @pytest.mark.parametrize(
        ("exit", "words"),
        [
            (Exit(0), "exit 0"),
            (Exit(3), "exit 3"),
            (Exit(-15), "SIGTERM"),
            (Exit(-60), "signal 60"),
            (Exit(-11, core_dumped=True), "SIGSEGV (core dumped)"),
            (Exit.unknown(), "lost"),
        ],
    )
    def test_describe(self, exit: Exit, words: str) -> None:
        """describe() says in words how the child ended."""
        assert exit.describe() == words

    def test_from_status(self) -> None:
        """A wait status tells the returncode and the core dump."""
        assert Exit.from_status(7 << 8) == 7
        assert Exit.from_status(signal.SIGABRT | 0x80) == -signal.SIGABRT
        assert Exit.from_status(signal.SIGABRT | 0x80).core_dumped

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda exit: pickle.loads(pickle.dumps(exit))])
    def test_copies_and_pickles(self, again: object) -> None:
        """A copy and a pickle know all that the original knew."""
        exit = Exit(-6, rusage=resource.getrusage(resource.RUSAGE_SELF), core_dumped=True, lost=False)
        same = again(exit)
        assert same == exit
        assert type(same) is Exit
        assert (same.rusage, same.core_dumped, same.lost) == (exit.rusage, True, False)

    def test_unknown(self) -> None:
        """A lost exit is 255, as in asyncio, and says that it is lost."""
        assert Exit.unknown() == 255
        assert Exit.unknown().lost
        assert os.waitstatus_to_exitcode(0) == Exit(0)
