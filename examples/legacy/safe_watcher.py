# As written for Python 3.5 to 3.11: a SafeChildWatcher, attached by hand to the loop that the program made.
# Fails from 3.14 on: AttributeError: module 'asyncio' has no attribute 'SafeChildWatcher'
import asyncio

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
watcher = asyncio.SafeChildWatcher()
watcher.attach_loop(loop)
asyncio.set_child_watcher(watcher)


async def run(*command):
    process = await asyncio.create_subprocess_exec(*command)
    return await process.wait()


try:
    print(loop.run_until_complete(asyncio.gather(run("true"), run("false"), run("sh", "-c", "exit 3"))))
finally:
    watcher.close()
    loop.close()
