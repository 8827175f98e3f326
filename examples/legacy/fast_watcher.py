# As written for Python 3.5 to 3.11: a FastChildWatcher, which reaps every child of the process, and `with` around what
# starts one, so that no exit is missed; the program looks after the child by itself.
# Fails from 3.14 on: AttributeError: module 'asyncio' has no attribute 'set_child_watcher'
import asyncio
import os


def start(*command):
    return os.posix_spawnp(command[0], command, os.environ)


async def main():
    watcher = asyncio.get_child_watcher()
    exited = asyncio.get_event_loop().create_future()
    with watcher:
        pid = start("sh", "-c", "exit 5")
        watcher.add_child_handler(pid, lambda pid, returncode: exited.set_result(returncode))
    print("by hand:", await exited)

    process = await asyncio.create_subprocess_shell("exit 6")
    print("by asyncio:", await process.wait())


asyncio.set_child_watcher(asyncio.FastChildWatcher())
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(main())
asyncio.get_child_watcher().close()
loop.close()
