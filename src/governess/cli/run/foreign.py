"""Options of GNU parallel and xargs that governess does not have: what to type instead, or why there is none."""

import difflib
from collections.abc import Iterable

__all__ = ["explain", "similar"]

_HOSTS = "commands run on other machines by way of a Dask cluster, see --on"
_PIPE = "--pipe gives each command one block; see --block, -N, --recstart and --recend"
_STRINGS = "the replacement strings have fixed names; -I changes {}"
_PERL = "it takes Perl, which governess does not run"
_SEMAPHORE = "a lock for other programs is the work of flock(1)"
_PROFILE = "options stand on the command line alone; a shell alias or function keeps them"
_COLOUR = "tags have no colours"
_SQL = "results are not written to databases; see --joblog and --results"
_CPUS = "nproc(1) tells it"

_REASONS = {
    _HOSTS: """-S --sshlogin --slf --sshloginfile --ssh --sshdelay --ssh-delay -M --controlmaster --transfer
        --transferfile --tf --return --trc --cleanup --basefile --bf --onall --nonall --filter-hosts --hostgroups --hgrp
        --rsync-opts --retired""",
    _PIPE: "--round-robin --round --roundrobin --pipe-part --pipepart --shard --bin --group-by --tee --cat --fifo "
    "--block-timeout --bt",
    _STRINGS: """--rpl --parens --extensionreplace --er --basenamereplace --bnr --basenameextensionreplace --bner
        --dirnamereplace --dnr --seqreplace --slotreplace""",
    _PERL: "--filter",
    _SEMAPHORE: "--semaphore --sem --semaphore-name --semaphorename --id --semaphore-timeout --semaphoretimeout --st "
    "--fg --bg --wait",
    _PROFILE: "-J --profile --plain",
    _COLOUR: "--color --colour --color-failed --cf --ctag --ctagstring",
    _SQL: "--sql --sqlmaster --sql-master --sqlworker --sql-worker --sqlandworker --sql-and-worker",
    _CPUS: "--number-of-cpus --number-of-cores --number-of-sockets --number-of-threads --use-cpus-instead-of-cores "
    "--use-cores-instead-of-threads --use-sockets-instead-of-threads",
    "commands have our whole environment": "--env --record-env --session --embed",
    "all that waits is held in memory and one temporary file, up to --spool SIZE": "--compress --compress-program "
    "--decompress-program",
    "the file of commands is the argument: governess run FILE": "--shebang --hashbang --shebang-wrap",
}
_REMEDIES = {
    "-i": "use -I STRING, or {} without any option",
    "--replace": "use -I STRING, or {} without any option",
    "-l": "use -L N",
    "--max-lines": "use -L N",
    "-E": "cut the input before: sed '/^END$/Q'",
    "-e": "cut the input before: sed '/^END$/Q'",
    "--eof": "cut the input before: sed '/^END$/Q'",
    "-p": "look at the commands with --dry-run first",
    "--interactive": "look at the commands with --dry-run first",
    "-o": "use --tty",
    "--open-tty": "use --tty",
    "-D": "use -v or --dry-run",
    "--files": "use --results DIR",
    "--output-as-files": "use --results DIR",
    "--outputasfiles": "use --results DIR",
    "--tmpdir": "set TMPDIR",
    "--tempdir": "set TMPDIR",
    "--tmux": "use --tty, or start the commands in tmux yourself",
    "--tmuxpane": "use --tty, or start the commands in tmux yourself",
    "--fg-tmux": "use --tty, or start the commands in tmux yourself",
    "--limit": "use --load or --memfree",
    "--memsuspend": "use --memfree, or --memory with a pool",
    "--noswap": "use --memfree",
    "--latest-line": "the bar shows what runs; for lines as they come use --line-buffer",
    "--ll": "the bar shows what runs; for lines as they come use --line-buffer",
    "--regexp": "--recstart and --recend are plain strings",
    "--regex": "--recstart and --recend are plain strings",
    "--arg-sep": "write the arguments into a file and use -a FILE",
    "--argsep": "write the arguments into a file and use -a FILE",
    "--arg-file-sep": "use -a FILE",
    "--argfilesep": "use -a FILE",
    "--term-seq": "TERM, --grace T, then KILL",
    "--termseq": "TERM, --grace T, then KILL",
    "--skip-first-line": "use --header : or tail -n +2",
    "--template": "make the files by a command: sed … > {#}.conf",
    "--tmpl": "make the files by a command: sed … > {#}.conf",
    "--process-slot-var": "use {%} for the number of the slot",
    "--shell-quote": "arguments are quoted by governess; for text use printf %q",
    "--shellquote": "arguments are quoted by governess; for text use printf %q",
    "--shell-completion": "see the documentation of the command line: _GOVERNESS_COMPLETE=bash_source governess",
    "--retry-failed": "use --journal DIR --resume-failed",
    "--total-jobs": "the total is counted while the input is read",
    "--total": "the total is counted while the input is read",
    "--show-limits": "getconf ARG_MAX tells it; -s sets a limit",
    "--max-line-length-allowed": "getconf ARG_MAX tells it; -s sets a limit",
    "--minversion": "governess --version tells the version",
    "--version": "governess --version tells the version",
    "-V": "governess --version tells the version",
    "--citation": "governess asks for none",
    "--bibtex": "governess asks for none",
    "--no-keep-order": "leave -k out",
    "--nokeeporder": "leave -k out",
    "--halt-on-error": "use --halt",
    "--jl": "use --joblog FILE",
    "--res": "use --results DIR",
}

_ANSWERS = {
    **{name: reason for reason, names in _REASONS.items() for name in names.split()},
    **_REMEDIES,
}


def explain(option: str) -> str | None:
    """Return what a user of GNU parallel or xargs should know about an option that does not exist here.

    Returns:
        A text in one line; None for an option that they do not have either.
    """
    answer = _ANSWERS.get(option)
    return None if answer is None else f"{option} of GNU parallel and xargs does not exist here: {answer}"


def similar(option: str, known: Iterable[str]) -> str:
    """Return a hint to an option that is written much like this one; an empty string if there is none."""
    names = list(known)
    close = [name for name in names if len(option) > 3 and name.startswith(option)]
    close += difflib.get_close_matches(option, names, 1, cutoff=0.75) if len(option) > 3 else []
    return f"; did you mean {close[0]}?" if close else ""
