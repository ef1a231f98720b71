"""Declare what a source and a sink of a pipe do, whatever they connect to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from msgspec import Struct

from app.db import Connection

# Of the id that a receiver recognises an event by which it gets again.
MAX_EVENT_ID_BYTES: Final = 200


class Event(Struct, frozen=True, kw_only=True):
    """An event as its source has it; `data`: its bytes, exactly.

    `id` is the same each time that the source delivers the event, and of up to MAX_EVENT_ID_BYTES
    bytes. `receipt` is the source's own, to acknowledge the event by. Of two events with the same
    `group` the source keeps the order; None: it has one order for all, or none.
    `fault`: why this cannot be an event at all, in which case `data` is what there is: it becomes a
    dead letter unread.
    """

    id: str
    data: bytes
    receipt: Any = None
    group: str | None = None
    fault: str | None = None


class Outgoing(Struct, frozen=True, kw_only=True):
    """An event as it is forwarded, under the id and the group of the event that it was made of."""

    id: str
    data: bytes
    group: str | None = None


class Lag(Struct, frozen=True, kw_only=True):
    """What a source still has for the pipe; None: the source cannot say.

    `oldest_seconds`: how long the oldest of these events has waited.
    """

    events: int | None
    oldest_seconds: float | None


class Source(Protocol):
    """Where the events of a pipe come from, for as long as one worker holds the pipe."""

    async def receive(
        self, *, max_events: int, max_bytes: int, wait_seconds: float
    ) -> Sequence[Event]:
        """Return the next events in the source's order; none after `wait_seconds` without any.

        Those that a former holder received and did not acknowledge come first. The last event may
        go beyond `max_bytes`. An event that was returned is not returned again by this source,
        unless it was never acknowledged and its visibility ran out. Raises ConnectorUnavailable.
        """

    async def acknowledge(self, events: Sequence[Event]) -> None:
        """Tell the source that it can forget these events, of one batch.

        Their forwards are confirmed and their dead letters are committed. One that cannot be
        acknowledged is delivered again. Raises ConnectorUnavailable.
        """

    async def lag(self) -> Lag:
        """Return what waits, without those that were acknowledged. Raises ConnectorUnavailable."""


class Sent(Struct, frozen=True, kw_only=True):
    """How far a sink has come with the events that it was sent.

    Each of the first `count` is confirmed, or refused for good: `refused` has the reasons, as
    "larger than 256 KiB", by their places from 0, since several events may have one id. They become
    dead letters of the kind `sink_refused`. `trouble`: why it has stopped there; without it, and
    with others left, only so that the first ones need not wait for them.
    """

    count: int
    refused: Mapping[int, str]
    trouble: "ConnectorUnavailable | None" = None


class Sink(Protocol):
    """Where the events of a pipe go to."""

    async def send(self, events: Sequence[Outgoing]) -> Sent:
        """Send events in their order, for a while, and return how far that has come.

        At least the first has an answer then. Some of those without one may have arrived: they are
        sent again. Raises ConnectorUnavailable if the first has none.
        """


# An event, and its place among those that a sink is sent, by which the sink refuses it.
Placed = tuple[int, Outgoing]


@runtime_checkable
class StoredSource(Source, Protocol):
    """A source in Crivo's own database, which forgets events in the transaction of their outcome.

    With a StoredSink too, each event has exactly one outcome.
    """

    async def commit(self, conn: Connection, events: Sequence[Event]) -> None:
        """Forget the events of one batch, in a transaction of the caller.

        `acknowledge` follows, once that is committed.
        """


@runtime_checkable
class StoredSink(Sink, Protocol):
    """A sink in Crivo's own database: what `send` has stored counts once `commit` is committed."""

    async def lock(self, conn: Connection) -> None:
        """Take the row that `commit` changes, before the tenant's bytes: all take both in turn.

        Raises ConnectorUnavailable.
        """

    async def commit(self, conn: Connection) -> None:
        """Publish what was sent since the last commit, in a transaction of the caller.

        Raises ConnectorUnavailable and QuotaExceeded.
        """


class ConnectorUnavailable(Exception):
    """The source or the sink cannot be used now: the pipe waits, and tries its batch again.

    The message goes to users: it names what is away and why, without a credential.
    `retry_after`: seconds, if the other side has said when to come back.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Take what is shown as the pipe's trouble."""
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
