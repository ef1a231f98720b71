"""Structs of the API's responses about pipes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import field

from crivo.models import Response


class PipeLag(Response, frozen=True, kw_only=True):
    """What a pipe's source still has; None: it cannot say."""

    events: int | None = None
    oldest_seconds: float | None = None


class EventCounts(Response, frozen=True, kw_only=True):
    """Events since the pipe was made: read, forwarded, and kept as dead letters."""

    received: int = field(name="in")
    forwarded: int
    refused: int


class EventRates(Response, frozen=True, kw_only=True):
    """Events a second over the last minute."""

    received: float = field(name="in")
    forwarded: float
    refused: float


class Pipe(Response, frozen=True, kw_only=True):
    """A pipe: where events come from and go, and how it is doing.

    `state` is `running`, `paused`, or `troubled`, with the reason in `trouble`.
    """

    id: UUID
    name: str
    revision: int
    source: dict[str, Any] = field(name="from")
    schema: str | dict[str, Any] | None = None
    script: str | None = None
    sink: dict[str, Any] = field(name="to")
    batch: dict[str, Any] = field(default_factory=dict)
    state: str
    trouble: str | None = None
    trouble_since: datetime | None = None
    lag: PipeLag
    counts: EventCounts
    rates: EventRates
    dead_letters: int
    last_event_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class AcceptedEvents(Response, frozen=True, kw_only=True):
    """How many events are stored, and the ids of the first and the last."""

    accepted: int
    first: str
    last: str
