# As written for Python 3.4 to 3.9: the loop is asked for at top level, where none was made, and futures are made before
# it runs.
# Fails from 3.14 on: RuntimeError: There is no current event loop in thread 'MainThread'.
import asyncio

loop = asyncio.get_event_loop()
ready = asyncio.Future()


async def child():
    process = await asyncio.create_subprocess_shell("echo $0", stdout=asyncio.subprocess.PIPE)
    ready.set_result(process.pid)
    return (await process.stdout.read()).decode().strip(), await process.wait()


async def main():
    task = asyncio.ensure_future(child())
    print("pid known:", await ready > 0)
    print("/bin/sh said %s and returned %d" % await task)


loop.run_until_complete(main())
loop.close()
