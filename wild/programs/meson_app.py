"""Meson: `meson test` runs the tests of a project, which are children of a loop."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = """
project('wild')
python = find_program('python3', native: true)
test('good', python, args: ['-c', 'raise SystemExit(0)'])
test('skipped', python, args: ['-c', 'raise SystemExit(77)'])
test('bad', python, args: ['-c', 'raise SystemExit(3)'], should_fail: true)
"""
folder = Path(os.environ["WILD_FOLDER"], str(os.getpid()))
folder.mkdir()
(folder / "meson.build").write_text(PROJECT)
(folder / "native.ini").write_text(f"[binaries]\npython3 = '{sys.executable}'\n")
prefix = [sys.executable, *(["-m", "governess", "python"] if "governess" in sys.modules else [])]
os.environ["PATH"] = os.pathsep.join(
    [str(Path(os.environ["PYTHONPATH"].split(os.pathsep)[0], "bin")), os.environ["PATH"]]
)
meson = [*prefix, "-m", "mesonbuild.mesonmain"]
setup = subprocess.run([*meson, "setup", "build", "--native-file", "native.ini"], cwd=folder, capture_output=True)
assert setup.returncode == 0, setup.stdout
done = subprocess.run([*meson, "test", "-C", "build", "--no-rebuild"], cwd=folder, capture_output=True, text=True)
print(
    " ".join(line.split()[-1] for line in done.stdout.splitlines() if line.startswith(("Ok:", "Expected", "Skipped:")))
)
raise SystemExit(done.returncode)
