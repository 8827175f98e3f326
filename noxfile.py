"""The tests on every supported Python: with uvloop, without, without the extension; and on a simulated 3.16.

And the frameworks of others in governess's loops, and others' own tests there.
"""

import shutil
import tempfile
import tomllib
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
EXTRAS = "cli,files,metrics,tui"  # what the tests use of what users may install
PYPROJECT = nox.project.load_toml("pyproject.toml")
TEST = nox.project.dependency_groups(PYPROJECT, "test")


@nox.session(python=PYTHONS)
@nox.parametrize("kind", [nox.param(kind, id=kind) for kind in ("uvloop", "plain", "pure")])
def tests(session: nox.Session, kind: str) -> None:
    """Run the tests with uvloop, without, or without the extensions; what follows `--` goes to pytest."""
    session.install("-e", f".[{EXTRAS}]" if kind == "plain" else f".[{EXTRAS},uvloop]", *TEST)
    extensions = {"GOVERNESS_PURE": "1"} if kind == "pure" else {"GOVERNESS_REQUIRE_NATIVE": "1"}
    loops = {} if kind == "plain" else {"GOVERNESS_REQUIRE_UVLOOP": "1"}
    session.run("pytest", *session.posargs, env=extensions | loops)


@nox.session(name="free-threaded", python=["3.13t", "3.14t"], default=False)
def free_threaded(session: nox.Session) -> None:
    """Run the tests of what threads share without the GIL and uvloop; what follows `--` goes to pytest."""
    # Later versions of hypothesis have no wheels for these builds.
    session.install("-e", ".[cli]", "anyio", "hypothesis<6.141", "pytest", "pytest-timeout", "pytest-xdist", "sybil")
    script = "import sys, governess.children._spawn._native; sys.exit(sys._is_gil_enabled())"
    session.run("python", "-W", "error", "-c", script)
    session.run("pytest", *[f"tests/{folder}" for folder in FREE_THREADED], *session.posargs)


FREE_THREADED = ("children", "loops", "policies", "subprocess", "watchers")


@nox.session(python="3.14")
def coverage(session: nox.Session) -> None:
    """Measure lines and branches, those of the tests' child processes too, with the extensions and without."""
    session.install("-e", f".[{EXTRAS},dask,uvloop]", *TEST, "coverage>=7.10")
    with tempfile.TemporaryDirectory() as temporary:
        # sys.monitoring costs little, so that the tests' times still hold; with branches it works from 3.14 on.
        env = {"COVERAGE_CORE": "sysmon", "COVERAGE_FILE": f"{temporary}/data"}
        source = str(Path("src/governess").resolve())  # absolute: processes in other folders are measured as well
        run = ["coverage", "run", "--source", source, "-m", "pytest", "-n", "3"]
        quick = ["-m", "not slow", "--dist", "loadscope", "--no-loadscope-reorder", *UNMEASURABLE]
        session.run(*run, *quick, env=env)
        folders = [f"tests/{name}" for name in ("children", "loops", "pains", "policies", "subprocess", "watchers")]
        session.run(*run, *quick, *folders, "--ignore=tests/children/spawners", env={**env, "GOVERNESS_PURE": "1"})
        slow = ["--dist", "loadgroup", "-m", "slow", "-k", "not ten and not cost"]
        session.run(*run, *slow, "tests/jobs/dask", "tests/jobs/test_crash.py", env=env)
        session.run("coverage", "combine", "--quiet", env=env)
        session.run("coverage", "report", env=env)


# Another user cannot write the measurement's file, nor can a process with a limit on files; coverage's hook
# changes what `__main__` is in a spawned process; a signal handler that raises in this hook leaves its lock taken.
UNMEASURABLE = [
    *("-k", "not test_no_process and not test_what_stands_in_main"),
    *("--deselect", "tests/children/test_descriptors.py::test_interrupts"),
    *("--deselect", "tests/jobs/test_journal.py::test_a_limit_on_files"),
]


@nox.session(name="simulated-3.16", python="3.15")
def simulated(session: nox.Session) -> None:
    """Run the tests on a 3.15 without event loop policies, as 3.16 is; what follows `--` goes to pytest."""
    session.install("-e", f".[{EXTRAS},uvloop]", *TEST)
    folder = Path("tests/simulated_316").resolve()  # Python finds its sitecustomize there, and so do the children
    simulation = {"PYTHONPATH": str(folder), "GOVERNESS_SIMULATED": "3.16"}
    session.run("pytest", *session.posargs, env={"GOVERNESS_REQUIRE_UVLOOP": "1", **simulation})


@nox.session(python=["3.13", "3.14", "3.15"])
def frameworks(session: nox.Session) -> None:
    """Run real servers, kernels, clusters and GUI loops over governess; what follows `--` goes to pytest."""
    session.install("-e", f".[{EXTRAS},uvloop]", *nox.project.dependency_groups(PYPROJECT, "frameworks"))
    needs = {"GOVERNESS_REQUIRE_FRAMEWORKS": "1"}
    session.run("pytest", "tests/frameworks", "docs/recipes.md", *session.posargs, env=needs)


# Each one's tests of child processes, and what else its pytest needs here.
PEERS = {
    "anyio": (["tests/test_subprocesses.py", "tests/test_to_process.py"], ["-p", "peers.anyio_backends"]),
    "pytest-asyncio": (["tests/test_subprocess.py"], ["-p", "no:anyio"]),
}


@nox.session(python="3.13", default=False)
def peers(session: nox.Session) -> None:
    """Run anyio's and pytest-asyncio's own tests of child processes in governess's loops, from their newest sdists."""
    session.install("-e", ".[uvloop]", "pytest")
    matrix = ["--governess-policies=default,uvloop,context,priority", "--governess-watchers=pidfd,threaded,safe"]
    with tempfile.TemporaryDirectory() as temporary:
        for name, (tests, options) in PEERS.items():
            folder = _unpacked_sdist(session, name, Path(temporary))
            needs = tomllib.loads((folder / "pyproject.toml").read_text())["dependency-groups"]["test"]
            session.install(str(folder), *(" ".join(need.split()) for need in needs))
            words = ["-q", "-ra", "-p", "no:cacheprovider", *matrix, *options, *tests, *session.posargs]
            with session.chdir(folder):
                session.run("pytest", *words, env={"PYTHONPATH": str(Path(__file__).parent)})


def _unpacked_sdist(session: nox.Session, name: str, temporary: Path) -> Path:
    folder = temporary / name
    session.run("pip", "download", "-qq", "--no-deps", "--no-binary", name, "--dest", str(folder), name)
    (archive,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(archive, folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")
