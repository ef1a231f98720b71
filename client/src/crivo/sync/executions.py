"""Executions, synchronously."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Unpack
from uuid import UUID

from crivo import execution_flows as flows
from crivo.bodies import Data
from crivo.models import Callback, Console, Execution, Queued, Result
from crivo.options import ExecutionFilter, Ref, SubmitOptions
from crivo.sync.calls import Calls

Id = UUID | str


class Executions(Calls):
    """Executions of scripts. Data is JSON bytes, a Path, an open binary file, or a JSON value.

    For a version over bytes it is any bytes, and `media_type` says what they are.
    """

    def submit(
        self,
        script: Ref,
        data: Data,
        *,
        media_type: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Queued:
        """Submit data to a script such as `cards` or `cards@prod`; it is stored on return."""
        return self._driver.do(
            flows.submit(self._session, script, data, media_type=media_type, options=options)
        )

    def run(
        self,
        script: Ref,
        data: Data,
        *,
        media_type: str | None = None,
        timeout: float | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Result:
        """Submit data and wait for the result, `timeout` seconds at most.

        Raises ExecutionFailed with kind, line and column, ExecutionCancelled, StillRunning.
        """
        return self._driver.do(
            flows.run(
                self._session,
                script,
                data,
                media_type=media_type,
                timeout=timeout,
                options=options,
            )
        )

    def show(self, execution: Id) -> Execution:
        """Show an execution as it is."""
        return self._driver.do(flows.show(self._session, execution))

    def wait(self, execution: Id, *, timeout: float | None = None) -> Execution:
        """Wait until an execution has finished. Raises StillRunning after `timeout` seconds."""
        return self._driver.do(flows.wait(self._session, execution, timeout=timeout))

    def result(self, execution: Id, *, timeout: float | None = None) -> Result:
        """Wait for the result of an execution; raises what `run` raises."""
        return self._driver.do(flows.result(self._session, execution, timeout=timeout))

    def list(
        self, *, page_size: int = 200, **filters: Unpack[ExecutionFilter]
    ) -> Iterator[Execution]:
        """List executions, newest first; pages are requested as they are needed."""
        return self._driver.pages(
            lambda cursor: flows.executions_page(
                self._session, cursor, size=page_size, filters=filters
            )
        )

    def watch(self, execution: Id) -> Iterator[Execution]:
        """Yield an execution at each change of its status, until it has finished."""
        return self._states(flows.path_of(execution, "events"), Execution)

    def cancel(self, execution: Id) -> Execution:
        """Cancel an execution. Raises Conflict if it has finished."""
        return self._driver.do(flows.cancel(self._session, execution))

    def callbacks(self, execution: Id) -> Sequence[Callback]:
        """List the callbacks of an execution, each with its last attempts."""
        return self._driver.do(flows.callbacks(self._session, execution))

    def resend_callback(self, execution: Id, callback: Id) -> Callback:
        """Deliver a callback again, with its id. Raises Conflict if its URL is disabled."""
        return self._driver.do(flows.resend(self._session, execution, callback))

    def replay(self, execution: Id, *, script: Ref | None = None) -> Queued:
        """Run a finished execution again, on its version or another, as a new execution.

        At its end, `replay` of the new one says whether the outcome is the same.
        """
        return self._driver.do(flows.replay(self._session, execution, script=script))

    def logs(self, execution: Id) -> Console:
        """Read the console of a finished execution."""
        return self._driver.do(flows.logs(self._session, execution))

    def result_chunks(self, execution: Id) -> Iterator[bytes]:
        """Read the exact bytes of the result in constant memory."""
        return self._chunks(execution, "result")

    def input_chunks(self, execution: Id) -> Iterator[bytes]:
        """Read the exact bytes of the input in constant memory."""
        return self._chunks(execution, "input")

    def save_result(self, execution: Id, target: Path | BinaryIO) -> int:
        """Write the result to a file; return its size in bytes."""
        return _write(self.result_chunks(execution), target)

    def save_input(self, execution: Id, target: Path | BinaryIO) -> int:
        """Write the input to a file; return its size in bytes."""
        return _write(self.input_chunks(execution), target)

    def erase(self, execution: Id) -> None:
        """Erase input, result and logs of an execution; its receipt stays."""
        self._driver.do(flows.erase(self._session, execution))

    def _chunks(self, execution: Id, part: str) -> Iterator[bytes]:
        return self._bytes(flows.path_of(execution, part))


def _write(chunks: Iterator[bytes], target: Path | BinaryIO) -> int:
    if isinstance(target, Path):
        with target.open("wb") as file:
            return _write(chunks, file)
    return sum(target.write(chunk) for chunk in chunks)
