# As written for Python 3.8 to 3.11, where this was the default already: the watcher is chosen by hand, because the
# program's children may be started in the loops of other threads too.
# Fails from 3.14 on: ImportError: cannot import name 'ThreadedChildWatcher' from 'asyncio'
import asyncio
from asyncio import ThreadedChildWatcher


async def checksum(text):
    process = await asyncio.create_subprocess_exec(
        "cksum", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(text.encode())
    return output.split()[0].decode()


async def main():
    sums = await asyncio.gather(*[checksum(text) for text in ("a", "b", "c")])
    print(" ".join(sums))


if __name__ == "__main__":
    asyncio.set_child_watcher(ThreadedChildWatcher())
    asyncio.run(main())
