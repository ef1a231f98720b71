"""Send processed events: what a pipe does with a batch, and a re-drive with dead letters."""

from collections.abc import Sequence

from msgspec import Struct

from app.db import Connection
from app.dead_letters.model import NewDeadLetter
from app.execution_errors import error_document
from app.pipes.connectors.model import Event, Outgoing, Sink, StoredSink
from app.pipes.model import LetterKind
from app.pipes.processing import EventOutcome


class Delivered(Struct, frozen=True, kw_only=True):
    """What has become of a batch: ids of events, and the dead letters that are not stored yet.

    `dropped`: the script's `map` has returned null for them. What a StoredSink has taken counts
    once `publish` has committed.
    """

    forwarded: tuple[str, ...]
    dropped: tuple[str, ...]
    letters: tuple[NewDeadLetter, ...]


async def send(sink: Sink, outcomes: Sequence[EventOutcome]) -> Delivered:
    """Send what is to be forwarded, in this order; on return the sink has confirmed it.

    The caller stores the letters, with `publish` in the same transaction, and only then
    acknowledges the events. Raises ConnectorUnavailable; then all of it is tried again.
    """
    outgoing = [
        Outgoing(id=each.event.id, data=each.forward, group=each.event.group)
        for each in outcomes
        if each.forward is not None
    ]
    refused = await sink.send(outgoing) if outgoing else {}
    letters: list[NewDeadLetter] = []
    forwarded: list[str] = []
    dropped: list[str] = []
    for each in outcomes:
        event = each.event
        if each.letter is not None:
            letters.append(each.letter)
        elif each.forward is None:
            dropped.append(event.id)
        elif event.id in refused:
            letters.append(_refused_by_sink(event, refused[event.id]))
        else:
            forwarded.append(event.id)
    return Delivered(forwarded=tuple(forwarded), dropped=tuple(dropped), letters=tuple(letters))


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
