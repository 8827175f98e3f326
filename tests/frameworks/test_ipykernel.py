"""Cells of a real IPython kernel, asked over its sockets."""

from collections.abc import Callable

PACKAGES = ("ipykernel",)

ASK = """
        import os
        from jupyter_client.manager import KernelManager

        def ask(command, cell):
            manager = KernelManager()
            launcher = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
            manager.kernel_spec.argv[:] = [sys.executable, *command, *launcher]
            manager.start_kernel(env=os.environ)
            client = manager.client()
            client.start_channels()
            try:
                client.wait_for_ready(timeout=40)
                printed = []
                client.execute_interactive(
                    cell, timeout=40, output_hook=lambda message: printed.append(
                        message["content"].get("text") or "".join(message["content"].get("traceback", ""))
                    )
                )
                print("".join(filter(None, printed)), end="")
            finally:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
                manager.cleanup_resources()
"""

CHILD = """
import asyncio, governess
born = []
async def child():
    with governess.observe(on_spawn=born.append):
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
        return await process.wait(), [each.pid for each in born] == [process.pid]
"""


def test_loop_of_kernel(program: Callable[..., str], loop: str) -> None:
    """A kernel started by `governess python` has a loop of the policy, and a cell awaits its child there."""
    command = ["-m", "governess", "python", "--loop", loop]
    cell = f"{CHILD}\nprint(*await child())"
    assert program(f"{ASK}\n        ask({command!r}, {cell!r})") == "7 True"


def test_thread_of_cell(program: Callable[..., str], loop: str) -> None:
    """In a kernel as it is, a cell runs a loop of its own in a thread, and the kernel's goes on."""
    cell = f"{CHILD}\nprint(*await asyncio.to_thread(lambda: governess.run(child(), loop_factory={loop!r})))"
    assert program(f"{ASK}\n        ask([], {cell!r})") == "7 True"
