"""fsspec: an async file system is called from sync code; its loop, which also runs a child, is in a thread."""

from _child import child
from fsspec.asyn import AsyncFileSystem, get_loop, sync


class Wild(AsyncFileSystem):
    async def _cat_file(self, path: str, start: object = None, end: object = None, **options: object) -> bytes:
        return str(await child()).encode()


print(Wild().cat_file("/x"), sync(get_loop(), child, 4))
