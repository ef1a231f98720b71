"""Run parts of runs in the sandbox of this process."""

import asyncio
from contextlib import suppress
from typing import Final

from typing_extensions import override

from app.datasets.parts import ObjectCache
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Finish
from app.limits import MIB
from app.resources import Resources
from app.runs.engines.engine import Engine, Submission
from app.runs.part_runner import run_part

# Parts are read once, from their beginnings to their ends: the tables of a few are enough.
_CACHE_BYTES: Final = 4 * MIB


class LocalEngine(Engine):
    """The sandbox of this process."""

    def __init__(self, resources: Resources) -> None:
        """Use the resources of this process."""
        self._resources = resources
        self._cache = ObjectCache(resources.blobs, max_bytes=_CACHE_BYTES)

    @property
    @override
    def capacity(self) -> int:
        return self._resources.sandbox.slots

    @property
    @override
    def max_memory_bytes(self) -> int | None:
        return self._resources.sandbox.max_limit_bytes

    @override
    async def submit(self, claim: Claim, usage: ResourceUsage) -> Submission:
        return _LocalSubmission(
            asyncio.create_task(run_part(self._resources, self._cache, claim, usage))
        )


class _LocalSubmission(Submission):
    """A part that runs in a task of this process."""

    def __init__(self, task: asyncio.Task[Finish]) -> None:
        self._task = task

    @override
    async def finished(self) -> Finish:
        return await self._task

    @override
    async def cancel(self) -> None:
        if not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._task
