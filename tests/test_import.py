"""Importing governess changes nothing outside of it; its public names are there and documented."""

import importlib.metadata
import inspect
from typing import Any

import pytest

import governess
from fresh import run_fresh

pytestmark = pytest.mark.windows

LOOK = """
import asyncio, asyncio.events, gc, os, signal, subprocess, sys, threading, warnings

hooks = []
os.register_at_fork = lambda **options: hooks.append(options)

SIGNALS = sorted(signal.valid_signals())
CLASSES = [asyncio.BaseEventLoop, asyncio.SelectorEventLoop, asyncio.Runner, subprocess.Popen]

def look():
    return {
        "policy": vars(asyncio.events).get("_event_loop_policy"),
        "asyncio": dict(vars(asyncio)),
        "events": dict(vars(asyncio.events)),
        "classes": [dict(vars(each)) for each in CLASSES],
        "signal handlers": [signal.getsignal(number) for number in SIGNALS],
        "wakeup descriptor": signal.set_wakeup_fd(-1),
        "threads": threading.enumerate(),
        "at-fork handlers": list(hooks),
        "thread excepthook": threading.excepthook,
        "excepthook": sys.excepthook,
        "unraisablehook": sys.unraisablehook,
        "warning filters": list(warnings.filters),
        "garbage collection": (gc.get_threshold(), gc.isenabled()),
        "descriptors": sorted(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else None,
    }

before = look()
"""

COMPARE = """
after = look()
changed = [name for name in before if before[name] != after[name]]
assert not changed, changed
"""


def test_nothing_global() -> None:
    """No policy, signal handler, thread, at-fork handler, descriptor or hook is there that was not before."""
    run_fresh(LOOK + "from governess import *" + COMPARE)


def test_run_imports_nothing_for_children() -> None:
    """A program without children does not import what starts and watches them together with `run`."""
    script = """
        import sys
        from governess import run
        mine = {name for name in sys.modules if name.startswith("governess.")}
        assert not [name for name in mine if "_spawn" in name or "watchers." in name or "_transport" in name], mine
    """
    run_fresh(script)


def test_standard_library_alone() -> None:
    """Nothing but the standard library is imported, and no module that is the business of an extra."""
    script = """
        import sys
        before = {name.partition(".")[0] for name in sys.modules}
        from governess import *
        after = {name.partition(".")[0] for name in sys.modules}
        print(*(name for name in after - before - sys.stdlib_module_names if not name.startswith("_")))
        """
    assert run_fresh(script).split() == ["governess"]


@pytest.mark.parametrize("name", ["children._spawn.native", "transports._threaded_pipes"])
def test_on_demand(name: str) -> None:
    """A module that few programs need is not imported before it is needed."""
    run_fresh(f"import sys; from governess import *; assert 'governess.{name}' not in sys.modules")


@pytest.mark.parametrize("name", ["click", "rich", "uvloop"])
def test_extras(name: str) -> None:
    """A missing extra does not hinder the import, and one that is there is not imported."""
    run_fresh(f"import sys; from governess import *; assert {name!r} not in sys.modules")
    run_fresh(f"import sys; sys.modules[{name!r}] = None; import governess; governess.get_event_loop_policy()")


@pytest.mark.parametrize("options", [[], ["-X", "dev"], ["-bb"], ["-OO"]])
def test_no_warning(options: list[str]) -> None:
    """It is imported without a warning, also in development mode and without docstrings."""
    run_fresh("from governess import *", *options)


def test_lazy() -> None:
    """A name of the package is imported when it is used, and so is a package of it; an unknown name is an error."""
    script = """
        import sys
        import governess

        assert not any(name.startswith(("asyncio", "governess.p")) for name in sys.modules)
        assert {"run", "watchers", *governess.__all__} <= set(dir(governess))
        assert governess.policies.Scope.__name__ == "Scope"
        assert "governess.policies._threaded" not in sys.modules
        assert (governess.jobs.Job.__name__, governess.services.Service.__name__) == ("Job", "Service")
        assert governess.ThreadedEventLoopPolicy is governess.policies._threaded.ThreadedEventLoopPolicy
        try:
            governess.policy
        except AttributeError as error:
            print(error)
        """
    assert run_fresh(script).strip() == "module 'governess' has no attribute 'policy'"


def test_all() -> None:
    """`__all__` names each public thing once, and everything in it exists."""
    assert len(set(governess.__all__)) == len(governess.__all__)
    namespace: dict[str, Any] = {}
    exec("from governess import *", namespace)
    assert set(governess.__all__) <= set(namespace)


@pytest.mark.parametrize("name", governess.__all__)
def test_docstrings(name: str) -> None:
    """Every public name has a docstring of its own, and so has every public method that it defines."""
    thing = getattr(governess, name)
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        assert thing.__doc__
        for attribute, value in vars(thing).items():
            if not attribute.startswith("_") and (callable(value) or isinstance(value, property)):
                assert value.__doc__, attribute


def test_version() -> None:
    """The version is that of the installed package, where it is installed."""
    try:
        installed = importlib.metadata.version("governess")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("governess is not installed here, but found on the path")
    assert governess.__version__ == installed
