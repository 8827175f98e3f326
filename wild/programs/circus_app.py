"""circus: an arbiter in Tornado's loop starts and stops a process."""

import sys
import tempfile

import tornado.gen
from circus import get_arbiter
from tornado.ioloop import IOLoop

folder = tempfile.mkdtemp()
ends = {name: f"ipc://{folder}/{name}" for name in ("controller", "pubsub_endpoint")}
words = {"cmd": f"{sys.executable} -c 'import time; time.sleep(60)'", "numprocesses": 1}
arbiter = get_arbiter([words], background=False, **ends)


@tornado.gen.coroutine
def look() -> object:
    yield tornado.gen.sleep(1)
    print([process.is_alive() for watcher in arbiter.watchers for process in watcher.processes.values()])
    yield arbiter.stop()


IOLoop.current().call_later(0.5, look)
arbiter.start()
