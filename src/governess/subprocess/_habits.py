"""What is said of an option that there is not: that `subprocess` has, that another function has, or a near miss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from governess.subprocess._options import ChildOptions, CommandRunOptions

__all__ = ["OF_RUN", "checked_options"]

_OF_SUBPROCESS = {
    "shell": "a line is run by the shell with run('sh', '-c', line); create_subprocess_shell takes a line, too",
    "capture_output": "what it writes is captured, unless capture=False is given",
    "text": "encoding='utf-8' makes text of what it writes",
    "universal_newlines": "encoding='utf-8' makes text of what it writes, and lines() takes line ends of both kinds",
    "bufsize": "what it writes is read as it comes, and is not buffered",
    "args": "give the program and its arguments one by one",
}
_LINES = "process.stdout.lines('utf-8') and process.merged_lines('utf-8') give text"

#: The options of `run` that a program in a block has not.
OF_RUN = {
    "timeout": "asyncio.timeout() in or around the block limits it; run() has a timeout",
    "input": "give stdin=PIPE and write to process.stdin, or use run()",
    "check": "compare process.exit with 0 after the block, or use run()",
    "capture": "give stdout=PIPE and read process.stdout, or use run()",
    "capture_output": "give stdout=PIPE and read process.stdout, or use run()",
    **dict.fromkeys(("encoding", "errors", "text", "universal_newlines"), _LINES),
}

# Those of the native spawner, which `Limits` and `pty` make.
_BELOW = {"rlimits", "nice", "parent_death_signal", "controlling_terminal"}
_KNOWN = {*ChildOptions.__annotations__, "process_group", "start_new_session", *_BELOW}


def checked_options(options: Mapping[str, Any], elsewhere: Mapping[str, str] = _OF_SUBPROCESS) -> Mapping[str, Any]:
    """Return the options without those of `subprocess` that are off.

    Args:
        options: by name.
        elsewhere: what is said of options that there are not.

    Raises:
        TypeError: there is no such option; the text says what is to be written instead.
    """
    if not (unknown := options.keys() - _KNOWN):
        return options
    for name in sorted(unknown):
        if name in elsewhere and (options[name] or name not in _OF_SUBPROCESS or name == "capture_output"):
            raise TypeError(f"{name}={options[name]!r}: {elsewhere[name]}")
        if name not in elsewhere and (name not in _OF_SUBPROCESS or options[name]):
            raise TypeError(_no_such(name))
    return {name: value for name, value in options.items() if name not in unknown}


def _no_such(name: str) -> str:
    if name in _OF_SUBPROCESS:
        return f"{name}: {_OF_SUBPROCESS[name]}"
    from difflib import get_close_matches

    names = sorted({*_KNOWN - _BELOW, *CommandRunOptions.__annotations__})
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else "governess.subprocess.run and subprocess.Popen say which there are"
    return f"a child has no option {name!r}; {hint}"
