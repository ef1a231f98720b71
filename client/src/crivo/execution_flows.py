"""Flows of executions: submit, wait, read, cancel."""

from typing import Final, cast
from uuid import UUID

from msgspec import UNSET, json

from crivo.bodies import Body, Data
from crivo.errors import ExecutionCancelled, ExecutionFailed, StillRunning
from crivo.models import Callback, Console, Execution, Page, Queued, Ready, Result
from crivo.options import ExecutionFilter, Ref, SubmitOptions, as_query
from crivo.retries import Flow
from crivo.session import Session
from crivo.waits import wait_for_end
from crivo.wire import JSON, Reply, Request, path_to, segment

_JSON_TYPE: Final = "application/json"
_ACCEPTED: Final = 202
_UNAVAILABLE: Final = 503


def submit(
    session: Session,
    script: Ref,
    data: Data,
    *,
    media_type: str | None,
    options: SubmitOptions,
) -> Flow[Queued]:
    """Submit data; the execution is stored when this returns."""
    request = Request(
        method="POST",
        path=f"/scripts/{segment(script)}/executions",
        query=as_query(options),
        headers={"Content-Type": media_type or _JSON_TYPE},
        body=Body(data),
        creates=True,
        key=options.get("idempotency_key"),
    )
    return (yield from _accepted(session, request))


def replay(session: Session, execution: UUID | str, *, script: Ref | None) -> Flow[Queued]:
    """Run a finished execution again, as a new one. Raises Gone if its data was erased."""
    document = {} if script is None else {"script": str(script)}
    request = Request(
        method="POST",
        path=path_of(execution, "replay"),
        headers=JSON,
        body=Body(json.encode(document)),
        creates=True,
    )
    return (yield from _accepted(session, request))


def _accepted(session: Session, request: Request) -> Flow[Queued]:
    reply = yield from session.deliver(request)
    if reply.status == _ACCEPTED:
        return reply.decode(Queued)
    # A repeated request is answered with the execution as it is by now.
    found = reply.decode(Execution)
    return Queued(id=found.id, status=found.status, url=path_of(found.id))


def run(
    session: Session,
    script: Ref,
    data: Data,
    *,
    media_type: str | None,
    timeout: float | None,
    options: SubmitOptions,
) -> Flow[Result]:
    """Submit data, and wait for the result. Raises NoResult."""
    # Not by `Prefer: wait`: the id would be unknown if the connection broke meanwhile.
    queued = yield from submit(session, script, data, media_type=media_type, options=options)
    return (yield from result(session, queued.id, timeout=timeout))


def show(session: Session, execution: UUID | str) -> Flow[Execution]:
    """Show an execution as it is."""
    return (yield from session.get(path_of(execution), Execution))


def wait(session: Session, execution: UUID | str, *, timeout: float | None) -> Flow[Execution]:
    """Wait until an execution has finished. Raises StillRunning after `timeout` seconds."""
    found = yield from wait_for_end(session, path_of(execution), Execution, timeout=timeout)
    if not found.is_final:
        message = f"execution {execution} is still {found.status} after {timeout:g} s"
        raise StillRunning(message, found)
    return found


def result(session: Session, execution: UUID | str, *, timeout: float | None) -> Flow[Result]:
    """Wait for the result of an execution. Raises NoResult."""
    finished = yield from wait(session, execution, timeout=timeout)
    require_success(finished)
    if finished.result is not UNSET:
        return Result(content=bytes(finished.result), execution=finished)
    reply = yield from session.deliver(Request(method="GET", path=path_of(execution, "result")))
    return Result(content=reply.content, execution=finished)


def require_success(execution: Execution) -> None:
    """Raise the error of a finished execution that has no result."""
    if execution.status == "failed":
        raise ExecutionFailed(execution)
    if execution.status == "cancelled":
        raise ExecutionCancelled(f"execution {execution.id} was cancelled", execution)


def executions_page(
    session: Session, cursor: str | None, *, size: int, filters: ExecutionFilter
) -> Flow[Page[Execution]]:
    """Show one page of the executions, newest first."""
    query = as_query({"cursor": cursor, "limit": size, **filters})
    return (yield from session.get("/executions", Page[Execution], query))


def cancel(session: Session, execution: UUID | str) -> Flow[Execution]:
    """Cancel an execution; one that is cancelled already stays so. Raises Conflict."""
    request = Request(method="POST", path=path_of(execution, "cancel"))
    return (yield from session.fetch(request, Execution))


def logs(session: Session, execution: UUID | str) -> Flow[Console]:
    """Read the console of an execution."""
    return (yield from session.get(path_of(execution, "logs"), Console))


def callbacks(session: Session, execution: UUID | str) -> Flow[list[Callback]]:
    """Show the callbacks of an execution."""
    # Always on one page.
    return (yield from session.get(path_of(execution, "callbacks"), Page[Callback])).items


def resend(session: Session, execution: UUID | str, callback: UUID | str) -> Flow[Callback]:
    """Deliver a callback again, with its id. Raises Conflict if its URL is disabled."""
    path = path_of(execution, f"callbacks/{segment(callback)}/resend")
    return (yield from session.fetch(Request(method="POST", path=path), Callback))


def erase(session: Session, execution: UUID | str) -> Flow[Reply]:
    """Erase input, result and logs of an execution; the receipt stays."""
    return (yield from session.deliver(Request(method="DELETE", path=path_of(execution, "data"))))


def ready() -> Flow[Ready]:
    """Ask for the state of the service, which is a response also while it is not ready."""
    # Asked once: whoever repeats it wants to see each answer.
    reply = cast(Reply, (yield Request(method="GET", path="/health/ready")))
    if reply.error is not None and reply.status != _UNAVAILABLE:
        raise reply.error
    return reply.decode(Ready)


def path_of(execution: UUID | str, part: str = "") -> str:
    """Return the path of an execution, or of a part of it."""
    return path_to("executions", execution, part)
