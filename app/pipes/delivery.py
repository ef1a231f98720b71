"""Send what was processed: a batch of a pipe, or dead letters that a re-drive tries again."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from app.db import Connection
from app.dead_letters.model import NewDeadLetter
from app.execution_errors import error_document
from app.pipes.connectors.model import (
    ConnectorUnavailable,
    Event,
    Outgoing,
    Sent,
    Sink,
    StoredSink,
)
from app.pipes.model import LetterKind
from app.pipes.processing import EventOutcome


class Delivered(Struct, frozen=True, kw_only=True):
    """What has become of the first `count` events of a batch, and the letters that are not stored.

    Places count from 0, since several events of a batch may have one id. `dropped`: the script's
    `map` has returned null for them. `trouble`: why the sink has not taken the next one; without
    it, and with events left, these are to be sent next. What a StoredSink has taken counts once
    `publish` has committed.
    """

    count: int
    forwarded: tuple[int, ...]
    dropped: tuple[int, ...]
    letters: Mapping[int, NewDeadLetter]
    trouble: ConnectorUnavailable | None


async def send(sink: Sink, outcomes: Sequence[EventOutcome]) -> Delivered:
    """Send what is to be forwarded, in this order; return what the sink has confirmed of it.

    That is committed before the rest is sent, so that it is not sent again with it. The caller
    stores the letters, with `publish` in the same transaction, and only then acknowledges the
    events. There is progress, or trouble.
    """
    places = [place for place, each in enumerate(outcomes) if each.forward is not None]
    sent = await _send(sink, [_outgoing(outcomes[place]) for place in places])
    count = places[sent.count] if sent.count < len(places) else len(outcomes)
    done = outcomes[:count]
    letters = {place: each.letter for place, each in enumerate(done) if each.letter is not None}
    for number, reason in sent.refused.items():
        letters[places[number]] = _refused_by_sink(outcomes[places[number]].event, reason)
    return Delivered(
        count=count,
        forwarded=tuple(place for place in places[: sent.count] if place not in letters),
        dropped=tuple(
            place for place, each in enumerate(done) if each.forward is None and each.letter is None
        ),
        letters=letters,
        trouble=sent.trouble,
    )


async def _send(sink: Sink, events: Sequence[Outgoing]) -> Sent:
    if not events:
        return Sent(count=0, refused={})
    try:
        return await sink.send(events)
    except ConnectorUnavailable as trouble:
        # What stands before the first of these need not wait for it.
        return Sent(count=0, refused={}, trouble=trouble)


def _outgoing(outcome: EventOutcome) -> Outgoing:
    assert outcome.forward is not None  # noqa: S101 - the caller knows
    return Outgoing(id=outcome.event.id, data=outcome.forward, group=outcome.event.group)


async def publish(conn: Connection, sink: Sink) -> None:
    """Make what a StoredSink has taken count with the caller's transaction; others have sent it.

    Raises ConnectorUnavailable.
    """
    if isinstance(sink, StoredSink):
        await sink.commit(conn)


def _refused_by_sink(event: Event, reason: str) -> NewDeadLetter:
    kind = LetterKind.SINK_REFUSED
    error = error_document(kind, f"the sink refuses the event: {reason}")
    return NewDeadLetter(event_id=event.id, event=event.data, kind=kind, error=error)
