"""Flows of re-drives: try dead letters, failed records and failed executions again."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from msgspec import json

from crivo.bodies import Body
from crivo.errors import NotFinished
from crivo.models import Page
from crivo.options import RedriveFilter, RedriveListFilter, Ref, as_query
from crivo.redrive_models import Redrive, RedrivePlan
from crivo.retries import Flow
from crivo.session import Session
from crivo.waits import ACCEPTANCE_SECONDS, OnState, wait_for_end
from crivo.wire import Request, segment

_JSON: Final = {"Content-Type": "application/json"}
# Names of conditions where the API's differ.
_OF_LETTERS: Final = {"failed_from": "from", "failed_before": "to"}
_OF_EXECUTIONS: Final = {
    "error_kind": "error.kind",
    "labels": "label",
    "created_from": "from",
    "created_before": "to",
}


def create(
    session: Session,
    *,
    on: Ref | None,
    per_second: int | None,
    idempotency_key: str | None,
    filters: RedriveFilter,
) -> Flow[Redrive]:
    """Re-drive what matches; it is marked when this returns."""
    document = _document(on, filters)
    if per_second is not None:
        document["per_second"] = per_second
    request = _post(document, creates=True, key=idempotency_key)
    return (yield from session.fetch(request, Redrive))


def plan(session: Session, *, on: Ref | None, filters: RedriveFilter) -> Flow[RedrivePlan]:
    """Count what `create` would match, and try the first ten without a trace."""
    document = {**_document(on, filters), "dry_run": True}
    return (yield from session.fetch(_post(document, creates=False), RedrivePlan))


def show(session: Session, redrive: UUID | str) -> Flow[Redrive]:
    """Show a re-drive as it is."""
    return (yield from session.get(path_of(redrive), Redrive))


def wait(
    session: Session,
    redrive: UUID | str,
    *,
    timeout: float | None,
    on_progress: OnState[Redrive] | None,
) -> Flow[Redrive]:
    """Wait until a re-drive has ended. Raises NotFinished after `timeout` seconds."""
    found = yield from wait_for_end(
        session, path_of(redrive), Redrive, timeout=timeout, on_state=on_progress
    )
    if not found.is_final:
        tried = f"{found.tried} of {found.matched}"
        raise NotFinished(f"re-drive {redrive} has tried {tried} after {timeout:g} s", found)
    return found


def redrives_page(
    session: Session, cursor: str | None, *, size: int, filters: RedriveListFilter
) -> Flow[Page[Redrive]]:
    """Show one page of the re-drives, newest first."""
    query = as_query({"cursor": cursor, "limit": size, **filters})
    return (yield from session.get("/redrives", Page[Redrive], query))


def cancel(session: Session, redrive: UUID | str) -> Flow[Redrive]:
    """Cancel a re-drive. Raises Conflict if it has ended."""
    request = Request(method="POST", path=f"{path_of(redrive)}/cancel")
    return (yield from session.fetch(request, Redrive))


def path_of(redrive: UUID | str) -> str:
    """Return the path of a re-drive."""
    return f"/redrives/{segment(redrive)}"


def _document(on: Ref | None, filters: RedriveFilter) -> dict[str, Any]:
    chosen = _renamed(filters, _OF_LETTERS)
    if "execution" in chosen:
        chosen["execution"] = _renamed(chosen["execution"], _OF_EXECUTIONS)
    document: dict[str, Any] = {"filter": chosen}
    if on is not None:
        document["script"] = str(on)
    return document


def _renamed(filters: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in filters.items()}


def _post(document: dict[str, Any], *, creates: bool, key: str | None = None) -> Request:
    return Request(
        method="POST",
        path="/redrives",
        headers=_JSON,
        body=Body(json.encode(document)),
        creates=creates,
        key=key,
        wait=ACCEPTANCE_SECONDS,
    )
