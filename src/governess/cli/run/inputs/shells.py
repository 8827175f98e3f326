"""Which commands a shell runs, which shell that is, and words that only a shell would understand."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from governess.cli.run.inputs.errors import SourceError
from governess.cli.run.inputs.shell_lines import locate
from governess.cli.run.inputs.templates import Strings

__all__ = [
    "SH",
    "check_syntax",
    "check_words",
    "exported_function",
    "is_shell_line",
    "line_paste_warning",
    "paste_warning",
    "shell_for",
]

SH = "/bin/sh"
_TIMEOUT = 5.0

_SPECIAL = re.compile(r"""[\s|&;<>()$`\\"']""" if sys.platform != "win32" else r"""[\s|&<>()"%^]""")
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"})
_BUILTINS = frozenset(
    [
        ".",
        ":",
        "alias",
        "bg",
        "break",
        "builtin",
        "caller",
        "cd",
        "command",
        "continue",
        "declare",
        "dirs",
        "enable",
        "eval",
        "exec",
        "exit",
        "export",
        "fc",
        "fg",
        "getopts",
        "hash",
        "help",
        "history",
        "if",
        "for",
        "while",
        "until",
        "case",
        "function",
        "jobs",
        "let",
        "local",
        "logout",
        "popd",
        "pushd",
        "read",
        "readonly",
        "return",
        "select",
        "set",
        "shift",
        "shopt",
        "source",
        "suspend",
        "trap",
        "type",
        "typeset",
        "ulimit",
        "umask",
        "unalias",
        "unset",
        "wait",
        "{",
        "(",
        "!",
        "[[",
    ]
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_OPERATOR = re.compile(r"\|\|?|&&?|;|[012&]?>{1,2}|<{1,2}|[012]?>&[012]|[012&]?>{1,2}\s*(?:/dev/null|\{).*", re.DOTALL)
_CODE = re.compile(r"(?<![\w./-])(?:(?:/\S*/)?(?:ba|da|a|k|z)?sh\s+-[a-z]*c|eval)\s+")
_TAKES_SEMICOLON = frozenset({"-exec", "-execdir", "-ok", "-okdir"})


def is_shell_line(word: str, strings: Strings) -> bool:
    """Return whether a command of one word is a line for the shell.

    It is one if it has blanks or characters of the shell, or is one of the shell's own commands.

    A program whose path has such characters is no line.
    """
    bare = word
    for start, end, _ in reversed(strings.find(word)):
        bare = bare[:start] + bare[end:]
    return (_SPECIAL.search(bare) is not None or bare in _BUILTINS) and shutil.which(word) is None


def shell_for(line: str, wanted: str | None) -> str:
    """Return the shell that runs a line: the wanted one; bash if the line names an exported function; else sh.

    Raises:
        SourceError: the wanted shell is not there, or quotes in another way than sh does.
    """
    if wanted is not None:
        if os.path.basename(wanted) not in _SHELLS:
            raise SourceError(f"--shell {wanted}: arguments are quoted for {', '.join(sorted(_SHELLS))} alone")
        if (found := shutil.which(wanted)) is None:
            raise SourceError(f"--shell {wanted}: there is no such program")
        return found
    if any(exported_function(name) for name in re.findall(r"[\w.:-]+", line)):
        return shutil.which("bash") or SH
    return SH


def exported_function(name: str) -> bool:
    """Return whether bash has exported a function with this name to us (`export -f`)."""
    return f"BASH_FUNC_{name}%%" in os.environ


def check_syntax(shell: str, *lines: str) -> None:
    """Have the shell read a line without running it, so that an error is told once, and before anything runs.

    Args:
        shell: the shell.
        lines: forms of the line with other arguments; the shell has to be able to read one of them.

    Raises:
        SourceError: the shell cannot read it.
    """
    reasons = []
    for line in lines:
        if not (reason := _syntax_error(shell, line)):
            return
        reasons.append(reason)
    raise SourceError(f"the shell cannot read the line: {reasons[0]}")


def _syntax_error(shell: str, line: str) -> str:
    """Return why a shell cannot read a line; "" if it can, or that cannot be told."""
    try:
        done = subprocess.run(
            [shell, "-n", "-c", os.fsencode(line)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    return done.stderr.decode(errors="replace").partition("\n")[0] if done.returncode else ""


def check_words(words: Sequence[str], strings: Strings) -> None:
    """Refuse words that only a shell understands, since none reads them.

    Raises:
        SourceError: there is such a word; the text says what to write instead.
    """
    first = words[0]
    line = " ".join(words)
    if _ASSIGNMENT.match(first):
        raise SourceError(
            f"{first} is an assignment, which a shell would make: give the command as one word, {_as_one(line)}, "
            f"or write env before it"
        )
    if first in _BUILTINS and shutil.which(first) is None:
        raise SourceError(f"{first} is a command of the shell: give the command as one word, {_as_one(line)}")
    for word in words[1:]:
        if _OPERATOR.fullmatch(word) and not (word == ";" and _TAKES_SEMICOLON.intersection(words)):
            raise SourceError(
                f"{word!r} would go to {first} as it stands, since no shell reads these words: for a shell give the "
                f"command as one word, {_as_one(line)}; to pass {word!r} to {first}, write -- before the command"
            )


def _as_one(line: str) -> str:
    return f"governess run {shlex.quote(line)}"


def line_paste_warning(line: str, strings: Strings) -> str | None:
    """Return a warning, in one line, if a line for the shell pastes arguments into code of another one; else None."""
    found = strings.find(line)
    _, words = locate(line, {start: end for start, end, _ in found})
    pasted = [start for start, _, placeholder in found if placeholder.operation not in ("#", "%")]
    for match in _CODE.finditer(line):
        end = words.get(match.end(), match.end())
        if any(match.end() <= start < end for start in pasted):
            return (
                f"warning: {match[0].strip()} runs what an argument says as code; pass the argument beside the code: "
                "sh -c 'echo \"$1\"' sh {}"
            )
    return None


def paste_warning(words: Sequence[str], strings: Strings) -> str | None:
    """Return a warning, in one line, if words such as `sh -c 'rm {}'` paste arguments into code; else None."""
    shell = os.path.basename(words[0])
    if shell not in _SHELLS:
        return None
    for at, word in enumerate(words[1:-1], 1):
        if not re.fullmatch(r"-[a-z]*c", word):
            if word.startswith("-"):
                continue
            return None
        script = words[at + 1]
        pasted = [
            placeholder.text for _, _, placeholder in strings.find(script) if placeholder.operation not in ("#", "%")
        ]
        if not pasted:
            return None
        option = "" if shell == "sh" else f"--shell {shell} "
        return (
            f"warning: {shell} -c pastes {pasted[0]} into code, so that an argument like ';reboot' is run; "
            f"write this, which quotes it: governess run {option}{shlex.quote(script)}"
        )
    return None
