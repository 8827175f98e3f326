"""aiozmq 1.0, which nobody has changed for it, works where asyncio has no SafeChildWatcher any more."""

import asyncio
import subprocess
import sys

import pytest

ROUND_TRIP = """
import asyncio
import aiozmq, aiozmq.rpc, zmq

async def round_trip():
    server = await aiozmq.create_zmq_stream(zmq.REP, bind="tcp://127.0.0.1:*")
    (address,) = server.transport.bindings()
    client = await aiozmq.create_zmq_stream(zmq.REQ, connect=address)
    client.write([b"ping"])
    print(await server.read())
    server.write([b"pong"])
    print(await client.read())
    client.close()
    server.close()

class Sums(aiozmq.rpc.AttrHandler):
    @aiozmq.rpc.method
    def add(self, a: int, b: int) -> int:
        return a + b

async def remote_call():
    server = await aiozmq.rpc.serve_rpc(Sums(), bind="tcp://127.0.0.1:*")
    (address,) = server.transport.bindings()
    client = await aiozmq.rpc.connect_rpc(connect=address)
    print(await client.call.add(1, 2))
    for end in (client, server):
        end.close()
        await end.wait_closed()

async def child():
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    print(await process.wait())

async def main():
    for step in (round_trip, remote_call, child):
        await step()
"""

IN_A_LOOP_OF_ASYNCIO = f"{ROUND_TRIP}\nasyncio.run(main())"

IN_ITS_OWN = f"""{ROUND_TRIP}
policy = aiozmq.ZmqEventLoopPolicy()
asyncio.set_event_loop_policy(policy)
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
assert type(loop) is aiozmq.ZmqEventLoop
loop.run_until_complete(main())
loop.close()
assert type(policy.get_child_watcher()) is asyncio.SafeChildWatcher
"""


def run(program: str, *way: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *way, "-c", program], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("program", [IN_A_LOOP_OF_ASYNCIO, IN_ITS_OWN], ids=["asyncio's loop", "its own policy"])
def test_round_trip(program: str) -> None:
    """A message, a remote call and a child go and come back, in asyncio's loop and in that of aiozmq's own policy."""
    done = run(program, "-m", "governess", "python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[b'ping']\n[b'pong']\n3\n7\n", "")


@pytest.mark.skipif("SafeChildWatcher" in vars(asyncio.unix_events), reason="this asyncio has the name still")
def test_plain_import_fails() -> None:
    """Without governess its import fails where asyncio has lost the name."""
    done = run("import aiozmq")
    assert done.returncode == 1
    assert "cannot import name 'SafeChildWatcher'" in done.stderr
