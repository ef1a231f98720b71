"""Flows of re-drives: try dead letters, failed records and failed executions again."""

from typing import Any
from uuid import UUID

from msgspec import json

from crivo.errors import NotFinished
from crivo.models import Page
from crivo.options import (
    RedriveFilter,
    RedriveListFilter,
    Ref,
    as_query,
    conditions_on_executions,
    conditions_on_letters,
)
from crivo.redrive_models import Redrive, RedrivePlan
from crivo.retries import Flow
from crivo.session import Session
from crivo.waits import OnState, acceptance, wait_for_end
from crivo.wire import Request, path_to


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
    request = Request(method="POST", path=path_of(redrive, "cancel"))
    return (yield from session.fetch(request, Redrive))


def path_of(redrive: UUID | str, part: str = "") -> str:
    """Return the path of a re-drive, or of a part of it."""
    return path_to("redrives", redrive, part)


def _document(on: Ref | None, filters: RedriveFilter) -> dict[str, Any]:
    chosen = conditions_on_letters(filters)
    if "execution" in filters:
        chosen["execution"] = conditions_on_executions(filters["execution"])
    document: dict[str, Any] = {"filter": chosen}
    if on is not None:
        document["script"] = str(on)
    return document


def _post(document: dict[str, Any], *, creates: bool, key: str | None = None) -> Request:
    return acceptance("/redrives", json.encode(document), creates=creates, key=key)
