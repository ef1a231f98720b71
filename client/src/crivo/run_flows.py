"""Flows of runs: a script over a whole dataset, in parts."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias
from uuid import UUID

from msgspec import UNSET

from crivo.bodies import Body, encode
from crivo.errors import NotFinished, RunCancelled, RunFailed
from crivo.models import Page
from crivo.options import Ref, RunFilter, RunOptions, as_query
from crivo.retries import Flow
from crivo.run_models import FailedRecord, QueuedRun, Run, RunResult
from crivo.session import Session
from crivo.waits import ACCEPTANCE_SECONDS, wait_for_end
from crivo.wire import Request, segment

OnProgress: TypeAlias = Callable[[Run], None]

_JSON: Final = {"Content-Type": "application/json"}
_LIMITS: Final = ("wall_ms", "max_cpu_ms", "memory_bytes", "max_output_bytes")
# Members of the output, and the options' names for them.
_OUTPUT: Final = {"dataset": "output", "key": "key", "mode": "mode"}


def submit(session: Session, script: Ref, dataset: str, *, options: RunOptions) -> Flow[QueuedRun]:
    """Submit a run; it is stored when this returns."""
    request = Request(
        method="POST",
        path="/runs",
        headers=_JSON,
        body=Body(encode(_document(script, dataset, options))),
        creates=True,
        key=options.get("idempotency_key"),
        wait=ACCEPTANCE_SECONDS,
    )
    return (yield from session.fetch(request, QueuedRun))


def replay(session: Session, run: UUID | str) -> Flow[QueuedRun]:
    """Run a finished run again, as a new one. Raises Gone if its input was deleted."""
    request = Request(
        method="POST", path=path_of(run, "replay"), creates=True, wait=ACCEPTANCE_SECONDS
    )
    return (yield from session.fetch(request, QueuedRun))


def show(session: Session, run: UUID | str) -> Flow[Run]:
    """Show a run as it is."""
    return (yield from session.get(path_of(run), Run))


def wait(
    session: Session, run: UUID | str, *, timeout: float | None, on_progress: OnProgress | None
) -> Flow[Run]:
    """Wait until a run has finished. Raises NotFinished after `timeout` seconds."""
    found = yield from wait_for_end(
        session, path_of(run), Run, timeout=timeout, on_state=on_progress
    )
    if not found.is_final:
        done = f"{found.progress.parts_done} of {found.progress.parts} parts"
        raise NotFinished(f"run {run} has finished {done} after {timeout:g} s", found)
    return found


def result(
    session: Session, run: UUID | str, *, timeout: float | None, on_progress: OnProgress | None
) -> Flow[RunResult]:
    """Wait for the result of a run's fold. Raises RunFailed, RunCancelled, NotFinished."""
    finished = yield from wait(session, run, timeout=timeout, on_progress=on_progress)
    require_success(finished)
    if finished.result is not UNSET:
        return RunResult(content=bytes(finished.result), run=finished)
    reply = yield from session.deliver(Request(method="GET", path=path_of(run, "result")))
    return RunResult(content=reply.content, run=finished)


def require_success(run: Run) -> None:
    """Raise the error of a finished run that has not succeeded."""
    if run.status == "failed":
        raise RunFailed(run)
    if run.status == "cancelled":
        raise RunCancelled(run)


def runs_page(
    session: Session, cursor: str | None, *, size: int, filters: RunFilter
) -> Flow[Page[Run]]:
    """Show one page of the runs, newest first."""
    query = as_query({"cursor": cursor, "limit": size, **filters})
    return (yield from session.get("/runs", Page[Run], query))


def errors_page(
    session: Session, run: UUID | str, cursor: str | None, *, size: int, excerpt: bool
) -> Flow[Page[FailedRecord]]:
    """Show one page of the records that failed, in the order of the input."""
    query = as_query({"cursor": cursor, "limit": size, "excerpt": excerpt or None})
    return (yield from session.get(path_of(run, "errors"), Page[FailedRecord], query))


def cancel(session: Session, run: UUID | str) -> Flow[Run]:
    """Cancel a run. Raises Conflict if it has finished."""
    return (yield from session.fetch(Request(method="POST", path=path_of(run, "cancel")), Run))


def path_of(run: UUID | str, part: str = "") -> str:
    """Return the path of a run, or of a part of it."""
    path = f"/runs/{segment(run)}"
    return f"{path}/{part}" if part else path


def _document(script: Ref, dataset: str, options: RunOptions) -> dict[str, Any]:
    members: dict[str, Any] = {**options}
    members.pop("idempotency_key", None)
    limits = {name: members.pop(name) for name in _LIMITS if name in members}
    output = {name: members.pop(option) for name, option in _OUTPUT.items() if option in members}
    if output and "dataset" not in output:
        raise ValueError("key and mode are those of the output; name its dataset by output=")
    if limits:
        members["limits"] = limits
    if output:
        members["output"] = output
    return {"script": str(script), "dataset": dataset, **members}
