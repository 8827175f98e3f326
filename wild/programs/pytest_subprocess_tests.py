"""pytest-subprocess: a fake process in place of asyncio's, and a real one that is let through."""

import os
import sys
from pathlib import Path

import pytest

TESTS = """
import asyncio, sys

def test_fake(fp):
    fp.register(["wild", "ask"], stdout="hello", returncode=3)
    async def main():
        process = await asyncio.create_subprocess_exec("wild", "ask", stdout=-1)
        output, _ = await process.communicate()
        return output.strip(), process.returncode
    assert asyncio.run(main()) == (b"hello", 3)

def test_real(fp):
    fp.allow_unregistered(True)
    async def main():
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")
        return await process.wait()
    assert asyncio.run(main()) == 3
"""
file = Path(os.environ["WILD_FOLDER"], "test_it.py")
file.write_text(TESTS)
status = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:governess", "-W", "ignore", str(file)])
print(f"status {int(status)}")
sys.exit(status)
