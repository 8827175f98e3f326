"""qasync: Qt's loop runs a child."""

import asyncio
import os
import sys

os.environ["QT_QPA_PLATFORM"] = "minimal"
import qasync
from _child import child
from PySide6.QtCore import QCoreApplication

application = QCoreApplication(sys.argv)
loop = qasync.QEventLoop(application)
asyncio.set_event_loop(loop)
with loop:
    print(loop.run_until_complete(child()))
