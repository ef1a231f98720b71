"""Flows of pipes and of the events that are sent to them."""

from collections.abc import Mapping
from typing import Any

from msgspec import json

from crivo.bodies import Body, Data
from crivo.models import Page
from crivo.options import as_query
from crivo.pipe_models import AcceptedEvents, Pipe
from crivo.retries import Flow
from crivo.session import Session
from crivo.wire import JSON, Request, path_to


def put(session: Session, name: str, definition: Mapping[str, Any]) -> Flow[Pipe]:
    """Create a pipe, or change its definition."""
    body = Body(json.encode(definition))
    request = Request(method="PUT", path=path_of(name), headers=JSON, body=body)
    return (yield from session.fetch(request, Pipe))


def show(session: Session, name: str) -> Flow[Pipe]:
    """Show a pipe."""
    return (yield from session.get(path_of(name), Pipe))


def pipes_page(session: Session, cursor: str | None, *, size: int) -> Flow[Page[Pipe]]:
    """Show one page of pipes, newest first."""
    query = as_query({"cursor": cursor, "limit": size})
    return (yield from session.get("/pipes", Page[Pipe], query))


def pause(session: Session, name: str) -> Flow[Pipe]:
    """Pause a pipe after its batch; again changes nothing."""
    return (yield from session.fetch(Request(method="POST", path=path_of(name, "pause")), Pipe))


def resume(session: Session, name: str) -> Flow[Pipe]:
    """Let a pipe go on; again changes nothing."""
    return (yield from session.fetch(Request(method="POST", path=path_of(name, "resume")), Pipe))


def delete(session: Session, name: str, *, erase: bool) -> Flow[None]:
    """Delete a pipe. Raises Conflict if it still has events or letters, unless they may go."""
    query = as_query({"erase": True}) if erase else ()
    yield from session.deliver(Request(method="DELETE", path=path_of(name), query=query))


def send(session: Session, name: str, event: Data, event_id: str | None) -> Flow[AcceptedEvents]:
    """Send one event."""
    named = {} if event_id is None else {"Crivo-Event-Id": event_id}
    request = Request(
        method="POST",
        path=path_of(name, "events"),
        headers={**JSON, **named},
        body=Body(event),
        creates=True,
    )
    return (yield from session.fetch(request, AcceptedEvents))


def path_of(name: str, part: str = "") -> str:
    """Return the path of a pipe, or of a part of it."""
    return path_to("pipes", name, part)
