# As written for Python 3.8 to 3.13: a watcher of the program's own, here one that counts, derived from asyncio's.
# Fails from 3.14 on: AttributeError: module 'asyncio' has no attribute 'ThreadedChildWatcher'
import asyncio


class CountingWatcher(asyncio.ThreadedChildWatcher):
    seen = 0

    def add_child_handler(self, pid, callback, *args):
        self.seen += 1
        super().add_child_handler(pid, callback, *args)


async def main():
    for status in (0, 1, 2):
        process = await asyncio.create_subprocess_shell("exit %d" % status)
        print(await process.wait(), end=" ")


policy = asyncio.get_event_loop_policy()
policy.set_child_watcher(CountingWatcher())
asyncio.run(main())
print("of", policy.get_child_watcher().seen)
