"""Runs, asynchronously."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Unpack
from uuid import UUID

from crivo import run_flows as flows
from crivo.aio.calls import AsyncCalls
from crivo.options import Ref, RunFilter, RunOptions
from crivo.run_flows import OnProgress
from crivo.run_models import FailedRecord, QueuedRun, Run, RunResult
from crivo.saving import replacing

Id = UUID | str


class AsyncRuns(AsyncCalls):
    """A script over a whole dataset, in parts that run at the same time.

    `on_progress` is called with the run about once a second, and at its end.
    """

    async def submit(self, script: Ref, dataset: str, **options: Unpack[RunOptions]) -> QueuedRun:
        """Submit a run over a dataset such as `scores` or `scores@7`; it is stored on return."""
        return await self._driver.do(flows.submit(self._session, script, dataset, options=options))

    async def run(
        self,
        script: Ref,
        dataset: str,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        **options: Unpack[RunOptions],
    ) -> Run:
        """Submit a run, and wait for its success, `timeout` seconds at most.

        Raises RunFailed with the place in the script and in the input, RunCancelled, NotFinished.
        """
        queued = await self.submit(script, dataset, **options)
        found = await self.wait(queued.id, timeout=timeout, on_progress=on_progress)
        flows.require_success(found)
        return found

    async def replay(self, run: Id) -> QueuedRun:
        """Run a finished run again, over the same snapshot, as a new run.

        At its end, `replay` of the new one says whether result and output are the same. It
        publishes nothing.
        """
        return await self._driver.do(flows.replay(self._session, run))

    async def show(self, run: Id) -> Run:
        """Show a run as it is."""
        return await self._driver.do(flows.show(self._session, run))

    async def wait(
        self, run: Id, *, timeout: float | None = None, on_progress: OnProgress | None = None
    ) -> Run:
        """Wait until a run has finished. Raises NotFinished after `timeout` seconds."""
        return await self._driver.do(
            flows.wait(self._session, run, timeout=timeout, on_progress=on_progress)
        )

    async def result(
        self, run: Id, *, timeout: float | None = None, on_progress: OnProgress | None = None
    ) -> RunResult:
        """Wait for the result of the fold; raises what `run` raises, and NotFound without one."""
        return await self._driver.do(
            flows.result(self._session, run, timeout=timeout, on_progress=on_progress)
        )

    def result_chunks(self, run: Id) -> AsyncIterator[bytes]:
        """Read the exact bytes of the fold's result in constant memory."""
        return self._bytes(flows.path_of(run, "result"))

    async def save_result(self, run: Id, target: Path | BinaryIO) -> int:
        """Write the result; return its size in bytes. A Path gets all of them, or none."""
        if isinstance(target, Path):
            with replacing(target) as file:
                return await self.save_result(run, file)
        size = 0
        async for chunk in self.result_chunks(run):
            # To the page cache: a thread for each chunk would cost more.
            size += target.write(chunk)  # noqa: ASYNC240 - see above
        return size

    def list(self, *, page_size: int = 200, **filters: Unpack[RunFilter]) -> AsyncIterator[Run]:
        """List runs, newest first; pages are requested as they are needed."""
        return self._driver.pages(
            lambda cursor: flows.runs_page(self._session, cursor, size=page_size, filters=filters)
        )

    def watch(self, run: Id) -> AsyncIterator[Run]:
        """Yield a run as its parts end, at most once a second, until it has finished."""
        return self._states(flows.path_of(run, "events"), Run)

    def errors(
        self, run: Id, *, excerpt: bool = False, page_size: int = 200
    ) -> AsyncIterator[FailedRecord]:
        """List the records that a run went on without, with the beginnings of their lines."""
        return self._driver.pages(
            lambda cursor: flows.errors_page(
                self._session, run, cursor, size=page_size, excerpt=excerpt
            )
        )

    async def cancel(self, run: Id) -> Run:
        """Cancel a run; nothing of it is published. Raises Conflict if it has finished."""
        return await self._driver.do(flows.cancel(self._session, run))
