"""The items of a plan of commands as jobs for the runner."""

from dataclasses import dataclass

from governess.cli.run.inputs import Item, Plan
from governess.cli.run.inputs.shells import SH
from governess.jobs import Command, Job

__all__ = ["ItemJobs", "item_of"]


@dataclass(frozen=True, slots=True)
class _ItemCommand:
    """Makes the command of an item for a slot."""

    plan: Plan
    item: Item

    def __call__(self, slot: int) -> Command:
        command = self.plan.command(self.item, slot)
        return (self.plan.shell, "-c", command) if isinstance(command, str) and self.plan.shell != SH else command


class ItemJobs:
    """Gives a job for each item, as they come.

    Args:
        plan: makes the items.
        cwd: the working directory of all jobs; None for that of this process.
    """

    def __init__(self, plan: Plan, cwd: str | None = None) -> None:
        self._plan = plan
        self._cwd = cwd

    @property
    def is_ready(self) -> bool:
        """Whether `take` has an answer."""
        return self._plan.is_ready

    def take(self) -> Job | None:
        """Return the next job; None after the last one."""
        item = self._plan.take()
        return None if item is None else Job(_ItemCommand(self._plan, item), cwd=self._cwd, stdin=item.input)

    async def wait(self) -> None:
        """Wait until `take` has an answer."""
        await self._plan.wait()


def item_of(job: Job) -> Item | None:
    """Return the item that a job was made of; None if it was made otherwise."""
    return job.command.item if isinstance(job.command, _ItemCommand) else None
