"""The tests on every supported Python, with uvloop and without, and on a simulated 3.16."""

from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]


@nox.session(python=PYTHONS)
@nox.parametrize("uvloop", [nox.param(True, id="uvloop"), nox.param(False, id="plain")])
def tests(session: nox.Session, uvloop: bool) -> None:
    """Run the tests; what follows `--` goes to pytest."""
    session.install("-e", ".[test,uvloop]" if uvloop else ".[test]")
    session.run("pytest", *session.posargs, env={"GOVERNESS_REQUIRE_UVLOOP": "1"} if uvloop else {})


@nox.session(name="simulated-3.16", python="3.15")
def simulated(session: nox.Session) -> None:
    """Run the tests on a 3.15 without event loop policies, as 3.16 is; what follows `--` goes to pytest."""
    session.install("-e", ".[test,uvloop]")
    folder = Path("tests/simulated_316").resolve()  # Python finds its sitecustomize there, and so do the children
    simulation = {"PYTHONPATH": str(folder), "GOVERNESS_SIMULATED": "3.16"}
    session.run("pytest", *session.posargs, env={"GOVERNESS_REQUIRE_UVLOOP": "1", **simulation})
