"""pytest-asyncio: tests with a loop of its own, a fixture and a child."""

import os
import sys
from pathlib import Path

import pytest

TESTS = """
import asyncio, pytest
from _child import child

pytestmark = pytest.mark.asyncio

@pytest.fixture
def value():
    return 3

async def test_child(value):
    assert await child() == value

async def test_loop():
    assert asyncio.get_running_loop() is asyncio.get_event_loop()
"""
file = Path(os.environ["WILD_FOLDER"], "test_it.py")
file.write_text(TESTS)
status = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:governess", "-W", "ignore", str(file)])
print(f"status {int(status)}")
sys.exit(status)
