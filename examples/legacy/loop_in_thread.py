# As written for Python 3.5 to 3.11: a loop in a thread of its own, that takes work from the main thread; for its
# children the main thread prepares the watcher, as the documentation asked.
# Fails from 3.14 on: AttributeError: module 'asyncio' has no attribute 'get_child_watcher'
import asyncio
import threading


class Background:
    def __init__(self):
        asyncio.get_child_watcher()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


async def count_words(text):
    process = await asyncio.create_subprocess_exec(
        "wc", "-w", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(text.encode())
    return int(output)


background = Background()
try:
    print(background.call(count_words("one two three")))
    print(background.call(count_words("four five")))
finally:
    background.stop()
