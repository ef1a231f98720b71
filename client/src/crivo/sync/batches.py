"""Batches, synchronously."""

from collections.abc import Iterator, Sequence
from typing import Unpack
from uuid import UUID

from crivo import batch_flows as flows
from crivo.batch_flows import Inputs
from crivo.batch_models import Batch, BatchResult, QueuedBatch, QueuedReplays, ReplayPlan
from crivo.options import Ref, ReplayFilter, SubmitOptions
from crivo.result_lines import ResultLines, result_of
from crivo.sync.calls import Calls
from crivo.waits import OnState

Id = UUID | str


class Batches(Calls):
    """Many inputs of one upload, each an execution of its own.

    `inputs` is a list of values, or their lines as they are: bytes, a Path, an open binary file or
    an iterator of chunks. With `is_array`, the bytes are one JSON array instead.
    """

    def submit(
        self,
        script: Ref,
        inputs: Inputs,
        *,
        is_array: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> QueuedBatch:
        """Submit inputs to a script such as `cards@prod`; all are stored on return, or none."""
        return self._driver.do(
            flows.submit(self._session, script, inputs, is_array=is_array, options=options)
        )

    def run(
        self,
        script: Ref,
        inputs: Inputs,
        *,
        is_array: bool = False,
        timeout: float | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Iterator[BatchResult]:
        """Submit inputs, wait for the end of all, and iterate over their results in order."""
        queued = self.submit(script, inputs, is_array=is_array, **options)
        self.wait(queued.id, timeout=timeout)
        return self.results(queued.id)

    def replay(
        self,
        *,
        on: Ref | None = None,
        priority: int | None = None,
        **filters: Unpack[ReplayFilter],
    ) -> QueuedReplays:
        """Run all finished executions that match again, on their versions or on another.

        `script`, among the filters, says whose executions match, `on` which version runs.
        """
        return self._driver.do(
            flows.replay(self._session, script=on, priority=priority, filters=filters)
        )

    def plan_replay(self, *, on: Ref | None = None, **filters: Unpack[ReplayFilter]) -> ReplayPlan:
        """Count what `replay` would run, and run nothing."""
        return self._driver.do(flows.plan_replay(self._session, script=on, filters=filters))

    def show(self, batch: Id) -> Batch:
        """Show a batch as it is."""
        return self._driver.do(flows.show(self._session, batch))

    def wait(
        self, batch: Id, *, timeout: float | None = None, on_progress: OnState[Batch] | None = None
    ) -> Batch:
        """Wait until every item is final. Raises NotFinished after `timeout` seconds.

        `on_progress` is called with the state about once a second, and at the end.
        """
        return self._driver.do(
            flows.wait(self._session, batch, timeout=timeout, on_progress=on_progress)
        )

    def list(self, *, page_size: int = 200) -> Iterator[Batch]:
        """List batches, newest first; pages are requested as they are needed."""
        return self._driver.pages(
            lambda cursor: flows.batches_page(self._session, cursor, size=page_size)
        )

    def watch(self, batch: Id) -> Iterator[Batch]:
        """Yield a batch as its items end, at most once a second, until all have."""
        return self._states(flows.path_of(batch, "events"), Batch)

    def results(self, batch: Id, *, status: Sequence[str] = ()) -> Iterator[BatchResult]:
        """Yield the outcome of each item in the order of the inputs, or of each with a status."""
        for line in self.result_lines(batch, status=status):
            yield result_of(line)

    def result_lines(self, batch: Id, *, status: Sequence[str] = ()) -> Iterator[bytes]:
        """Read what `results` reads as the exact lines of NDJSON."""
        path = flows.path_of(batch, "results")
        lines = ResultLines(path, statuses=status, retry=self._session.retry)
        return self._driver.stream(lines)

    def cancel(self, batch: Id) -> Batch:
        """Cancel every item that has not finished. Raises Conflict if all have."""
        return self._driver.do(flows.cancel(self._session, batch))
