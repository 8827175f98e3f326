# As written for Python 3.7 to 3.13: a policy of the program's own, derived from the default one, which names its loops
# and lets every thread have one.
# Fails from 3.16 on: AttributeError: module 'asyncio' has no attribute 'DefaultEventLoopPolicy'
import asyncio
import concurrent.futures


class NamedLoopPolicy(asyncio.DefaultEventLoopPolicy):
    count = 0

    def new_event_loop(self):
        loop = super().new_event_loop()
        self.count += 1
        loop.name = f"loop-{self.count}"
        return loop

    def get_event_loop(self):
        try:
            return super().get_event_loop()
        except RuntimeError:
            loop = self.new_event_loop()
            self.set_event_loop(loop)
            return loop


async def echo(word):
    process = await asyncio.create_subprocess_exec("echo", word, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return f"{asyncio.get_event_loop().name} says {output.decode().strip()}"


def in_thread():
    loop = asyncio.get_event_loop()
    try:
        return loop.run_until_complete(echo("thread"))
    finally:
        loop.close()


asyncio.set_event_loop_policy(NamedLoopPolicy())
print(asyncio.run(echo("main")))
with concurrent.futures.ThreadPoolExecutor() as pool:
    print(pool.submit(in_thread).result())
