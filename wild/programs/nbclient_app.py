"""nbclient: executes a notebook, whose cell awaits a child, from sync code and inside a loop."""

import asyncio
import sys

import nbformat
from nbclient import NotebookClient

CELL = "from _child import child\nprint(await child())"


def notebook() -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])


def client(one: nbformat.NotebookNode) -> NotebookClient:
    manager = NotebookClient(one, timeout=60)
    made = manager.create_kernel_manager()
    words = made.kernel_spec.argv
    words[0] = sys.executable
    if "governess" in sys.modules:
        words[words.index("-m") : words.index("-m")] = ["-m", "governess", "python"]
    return manager


first, second = notebook(), notebook()
client(first).execute()
asyncio.run(client(second).async_execute())
print([one.cells[0].outputs[0].text.strip() for one in (first, second)])
