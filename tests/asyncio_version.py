"""The version whose asyncio the tests meet: the interpreter's own, or the one that is simulated."""

import os
import sys

SIMULATED = os.environ.get("GOVERNESS_SIMULATED") == "3.16"
ASYNCIO_VERSION: tuple[int, int] = (3, 16) if SIMULATED else sys.version_info[:2]
