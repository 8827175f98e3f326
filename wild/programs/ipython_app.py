"""IPython: cells with await at the top level, in its loop runner and after `%autoawait`; a child in each."""

from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in ("from _child import child", "first = await child()", "%autoawait asyncio", "second = await child(4)"):
    shell.run_cell(cell).raise_error()
print(shell.user_ns["first"], shell.user_ns["second"])
