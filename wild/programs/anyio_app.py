"""anyio: a process, a worker process and a thread, on asyncio."""

import sys

import anyio
import anyio.to_process
import anyio.to_thread


async def main() -> None:
    done = await anyio.run_process([sys.executable, "-c", "raise SystemExit(3)"], check=False)
    print(int(done.returncode), await anyio.to_process.run_sync(max, 1, 2), await anyio.to_thread.run_sync(min, 1, 2))


if __name__ == "__main__":
    anyio.run(main)
