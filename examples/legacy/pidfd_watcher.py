# As written for Python 3.9 to 3.13 on Linux: the best watcher that the system has, with a fallback.
# Fails from 3.14 on: AttributeError: module 'asyncio' has no attribute 'set_child_watcher'
import asyncio
import os


def choose_watcher():
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return asyncio.MultiLoopChildWatcher()
    return asyncio.PidfdChildWatcher()


async def main():
    process = await asyncio.create_subprocess_exec("sleep", "60")
    process.terminate()
    print("ended by signal", -await process.wait())


asyncio.set_child_watcher(choose_watcher())
asyncio.run(main())
