"""anyio runs in a loop of a policy."""

from collections.abc import Callable

PACKAGES = ("anyio",)


def test_run(program: Callable[..., str]) -> None:
    """`anyio.run` takes the loop factory, and anyio's processes are governess's children."""
    text = """
        import anyio

        async def main():
            with governess.observe(on_spawn=born.append):
                done = await anyio.run_process(["sh", "-c", "echo anyio; exit 7"], check=False)
                async with await anyio.open_process(["cat"]) as process:
                    await process.stdin.send(b"and back")
                    await process.stdin.aclose()
                    echo = b"".join([part async for part in process.stdout])
            assert asyncio.get_running_loop().governess_policy is policy
            print(done.stdout, done.returncode, echo, len(born))

        with policy:
            anyio.run(main, backend_options={"loop_factory": policy.loop_factory})
        """
    assert program(text) == "b'anyio\\n' 7 b'and back' 2"
