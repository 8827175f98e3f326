"""The tests on every supported Python: with uvloop, without, without the extension; and on a simulated 3.16."""

from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]


@nox.session(python=PYTHONS)
@nox.parametrize("kind", [nox.param(kind, id=kind) for kind in ("uvloop", "plain", "pure")])
def tests(session: nox.Session, kind: str) -> None:
    """Run the tests with uvloop, without, or without the extension; what follows `--` goes to pytest."""
    session.install("-e", ".[test]" if kind == "plain" else ".[test,uvloop]")
    spawner = {"GOVERNESS_PURE": "1"} if kind == "pure" else {"GOVERNESS_REQUIRE_NATIVE": "1"}
    loops = {} if kind == "plain" else {"GOVERNESS_REQUIRE_UVLOOP": "1"}
    session.run("pytest", *session.posargs, env=spawner | loops)


@nox.session(name="simulated-3.16", python="3.15")
def simulated(session: nox.Session) -> None:
    """Run the tests on a 3.15 without event loop policies, as 3.16 is; what follows `--` goes to pytest."""
    session.install("-e", ".[test,uvloop]")
    folder = Path("tests/simulated_316").resolve()  # Python finds its sitecustomize there, and so do the children
    simulation = {"PYTHONPATH": str(folder), "GOVERNESS_SIMULATED": "3.16"}
    session.run("pytest", *session.posargs, env={"GOVERNESS_REQUIRE_UVLOOP": "1", **simulation})
