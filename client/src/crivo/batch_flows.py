"""Flows of batches: submit many inputs at once, wait, cancel."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias
from uuid import UUID

from msgspec import json

from crivo.batch_models import Batch, QueuedBatch, QueuedReplays, ReplayPlan
from crivo.bodies import Body, encode
from crivo.errors import NotFinished
from crivo.models import Page
from crivo.options import Ref, ReplayFilter, SubmitOptions, as_query, conditions_on_executions
from crivo.retries import Flow
from crivo.session import Session
from crivo.waits import ACCEPTANCE_SECONDS, OnState, acceptance, wait_for_end
from crivo.wire import JSON, Request, path_to

# A list of values, or the lines as they are: bytes, a Path, an open binary file, or an iterator.
Inputs: TypeAlias = Sequence[Any] | bytes | Path | BinaryIO | Iterator[bytes] | AsyncIterator[bytes]

_LINES: Final = {"Content-Type": "application/x-ndjson"}


def submit(
    session: Session, script: Ref, inputs: Inputs, *, is_array: bool, options: SubmitOptions
) -> Flow[QueuedBatch]:
    """Submit inputs; all executions are stored when this returns."""
    request = Request(
        method="POST",
        path="/batches",
        query=[("script", str(script)), *as_query(options)],
        headers=JSON if is_array else _LINES,
        body=_body(inputs),
        creates=True,
        key=options.get("idempotency_key"),
        wait=ACCEPTANCE_SECONDS,
    )
    return (yield from session.fetch(request, QueuedBatch))


def replay(
    session: Session, *, script: Ref | None, priority: int | None, filters: ReplayFilter
) -> Flow[QueuedReplays]:
    """Run all finished executions that match again, as a batch. Raises InvalidRequest for none."""
    document = _replays(script, filters)
    if priority is not None:
        document["priority"] = priority
    request = _post_replays(document, creates=True)
    return (yield from session.fetch(request, QueuedReplays))


def plan_replay(session: Session, *, script: Ref | None, filters: ReplayFilter) -> Flow[ReplayPlan]:
    """Count what `replay` would run, and run nothing."""
    document = {**_replays(script, filters), "dry_run": True}
    return (yield from session.fetch(_post_replays(document, creates=False), ReplayPlan))


def show(session: Session, batch: UUID | str) -> Flow[Batch]:
    """Show a batch as it is."""
    return (yield from session.get(path_of(batch), Batch))


def wait(
    session: Session,
    batch: UUID | str,
    *,
    timeout: float | None,
    on_progress: OnState[Batch] | None,
) -> Flow[Batch]:
    """Wait until every item is final. Raises NotFinished after `timeout` seconds."""
    found = yield from wait_for_end(
        session, path_of(batch), Batch, timeout=timeout, on_state=on_progress
    )
    if not found.is_final:
        message = f"batch {batch} has finished {found.ended} of {found.items} after {timeout:g} s"
        raise NotFinished(message, found)
    return found


def batches_page(session: Session, cursor: str | None, *, size: int) -> Flow[Page[Batch]]:
    """Show one page of the batches, newest first."""
    query = as_query({"cursor": cursor, "limit": size})
    return (yield from session.get("/batches", Page[Batch], query))


def cancel(session: Session, batch: UUID | str) -> Flow[Batch]:
    """Cancel every item that has not finished. Raises Conflict if all have."""
    request = Request(method="POST", path=path_of(batch, "cancel"))
    return (yield from session.fetch(request, Batch))


def path_of(batch: UUID | str, part: str = "") -> str:
    """Return the path of a batch, or of a part of it."""
    return path_to("batches", batch, part)


def _replays(script: Ref | None, filters: ReplayFilter) -> dict[str, Any]:
    document: dict[str, Any] = {"filter": conditions_on_executions(filters)}
    if script is not None:
        document["script"] = str(script)
    return document


def _post_replays(document: dict[str, Any], *, creates: bool) -> Request:
    return acceptance("/replays", json.encode(document), creates=creates)


def _body(inputs: Inputs) -> Body:
    match inputs:
        case list() | tuple():
            return Body(b"".join(encode(each) + b"\n" for each in inputs))
        case str() | dict():
            raise TypeError("inputs are a list, or their lines as bytes, a Path or a file")
        case _:
            return Body(inputs)
