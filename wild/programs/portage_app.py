"""portage: its event loop, its child watcher, and a child."""

import os

os.environ.setdefault("PORTAGE_USERNAME", "root")
os.environ.setdefault("PORTAGE_GRPNAME", "root")
import portage
from _child import child
from portage.util.futures import asyncio

portage._internal_caller = True
print(asyncio.run(child()))
