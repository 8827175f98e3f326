"""What holds for every test; and the examples in README.md and docs/ as tests."""

import compileall
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester", "leaks", "forked.plugin"]

if sys.platform != "win32":
    import signal

    from sybil import Sybil
    from sybil.integration.pytest import pytest_integration as collect_examples

    from asyncio_version import SIMULATED
    from examples import PARSERS, prepare

    # Who has started the tests may ignore hang-ups, as nohup does; then all that they start would ignore them, too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

    pytest_collect_file = collect_examples(
        # What a reader types first is typed here too, with the program that is installed.
        Sybil(parsers=PARSERS, setup=prepare, patterns=["README.md"], fixtures=["no_leaks"]),
        Sybil(
            parsers=PARSERS,
            setup=prepare,
            patterns=["docs/*.md"],
            # pytest-asyncio 1.5 asks asyncio for its policy, in each test.
            excludes=["docs/pytest.md"] if SIMULATED else [],
            fixtures=["no_leaks", "starts"],
        ),
    )


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package, as pip does where it installs one: else many starts of the command line compile it again."""
    if not hasattr(config, "workerinput"):  # in one process, before xdist's workers
        compileall.compile_dir(Path(__file__).parent / "src", quiet=2)


@pytest.hookimpl(tryfirst=True)  # before pytest looks at -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the examples of Dask as slow, since a scheduler and workers take seconds to start; they use one port."""
    for item in items:
        if item.path.name == "dask.md":
            item.add_marker("slow")
            item.add_marker(pytest.mark.xdist_group("dask.md"))
