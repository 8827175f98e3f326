"""qasync's loop, which is Qt's, under a Qt without a screen."""

import subprocess
import sys
from collections.abc import Callable

import pytest

PACKAGES = ("qasync", "PySide6_Essentials")


@pytest.fixture(autouse=True)
def offscreen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt without a screen, if Qt finds the system's libraries that it is linked with."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    tried = subprocess.run([sys.executable, "-c", "import PySide6.QtGui"], capture_output=True, text=True)
    if "cannot open shared object file" in tried.stderr:
        pytest.skip(tried.stderr.splitlines()[-1])


@pytest.mark.parametrize("loop", ["asyncio"], indirect=True)  # the program replaces it by Qt's
def test_child(program: Callable[..., str]) -> None:
    """A child runs in Qt's loop while a timer of Qt's fires."""
    text = """
        import PySide6.QtCore, PySide6.QtGui
        import qasync

        application = PySide6.QtGui.QGuiApplication([])
        policy.set_factory(lambda: qasync.QEventLoop(application))
        fired = []

        async def main():
            timer = PySide6.QtCore.QTimer()
            timer.timeout.connect(lambda: fired.append(True))
            timer.start(1)
            echo = await asyncio.create_subprocess_exec(
                "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            print(await echo.communicate(b"Qt"), await child(), bool(fired))
            assert asyncio.get_running_loop().governess_policy is policy
            timer.stop()

        with policy:
            loop = policy.new_event_loop()
            asyncio.set_event_loop(loop)
            loop.run_until_complete(main())
        """
    assert program(text) == "(b'Qt', None) 7 True"
