"""subprocess-tee: a command whose output is shown and captured."""

import sys

from subprocess_tee import run

done = run([sys.executable, "-c", "print('hello'); raise SystemExit(3)"], tee=False)
print(done.returncode, done.stdout.strip())
