"""The tests on every supported Python, with uvloop and without."""

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
