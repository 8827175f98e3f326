# As written for Python 3.5 to 3.11 with uvloop: its policy for the whole process, then loops by asyncio's functions.
# Fails from 3.16 on: AttributeError: module 'asyncio' has no attribute 'set_event_loop_policy'
import asyncio

import uvloop

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)


async def main():
    process = await asyncio.create_subprocess_exec("sort", stdin=-1, stdout=-1)
    output, _ = await process.communicate(b"c\na\nb\n")
    print(output.decode().split(), isinstance(asyncio.get_event_loop(), uvloop.Loop))


try:
    loop.run_until_complete(main())
finally:
    loop.close()
