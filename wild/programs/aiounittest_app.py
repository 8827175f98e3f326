"""aiounittest: an async test with a child."""

import sys
import unittest

import aiounittest
from _child import child


class Test(aiounittest.AsyncTestCase):
    async def test_child(self) -> None:
        assert await child() == 3


result = unittest.TextTestRunner(stream=sys.stdout).run(unittest.defaultTestLoader.loadTestsFromTestCase(Test))
print(result.wasSuccessful())
sys.exit(not result.wasSuccessful())
