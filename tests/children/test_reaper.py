"""The reaper's one thread, which outlives whatever goes wrong around it."""

from fresh import run_fresh


def test_more_children_than_descriptors() -> None:
    """A limit of descriptors below the number of the reaper's children, where poll(2) refuses them, loses none."""
    run_fresh(
        """
        import asyncio, logging, os, resource, time
        from governess.children import children
        from governess.subprocess import create_subprocess_exec

        logging.disable(logging.WARNING)  # that it cannot poll

        async def main():
            for process in [await create_subprocess_exec("sleep", "60") for _ in range(40)]:
                process.detach()

        asyncio.run(main())
        born = children()
        assert len(born) == 40
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, hard))
        for child in born[:20]:
            child.kill()
        for child in born[:20]:
            assert child.wait_for_exit(20)
        while len(children()) > 20:
            time.sleep(0.01)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for child in born[20:]:
            child.kill()
        while children():
            time.sleep(0.01)
        """
    )


def test_no_thread_for_the_reaper() -> None:
    """A child for which the reaper could have no thread is reaped after the next start of a child."""
    run_fresh(
        """
        import asyncio, os, threading, time
        from governess.children import adopt, children
        from governess.children._reaper import reap_later
        from governess.subprocess import run

        start = threading.Thread.start

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        child = adopt(os.posix_spawn("/bin/true", ["true"], os.environ))
        threading.Thread.start = refuse
        assert not reap_later(child)
        threading.Thread.start = start
        assert children() == [child]
        assert asyncio.run(run("true")).exit == 0
        end = time.monotonic() + 10
        while children():
            assert time.monotonic() < end
            time.sleep(0.01)
        """
    )
