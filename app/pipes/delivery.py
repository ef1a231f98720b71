"""Send what was processed: a batch of a pipe, or dead letters that a re-drive tries again."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from app.db import Connection
from app.dead_letters.model import NewDeadLetter
from app.execution_errors import error_document
from app.pipes.connectors.model import Event, Outgoing, Sink, StoredSink
from app.pipes.model import LetterKind
from app.pipes.processing import EventOutcome


class Delivered(Struct, frozen=True, kw_only=True):
    """What has become of a batch: places in it, and the dead letters that are not stored yet.

    Places count from 0, since several events of a batch may have one id. `dropped`: the script's
    `map` has returned null for them. What a StoredSink has taken counts once `publish` has
    committed.
    """

    forwarded: tuple[int, ...]
    dropped: tuple[int, ...]
    letters: Mapping[int, NewDeadLetter]


async def send(sink: Sink, outcomes: Sequence[EventOutcome]) -> Delivered:
    """Send what is to be forwarded, in this order; on return the sink has confirmed it.

    The caller stores the letters, with `publish` in the same transaction, and only then
    acknowledges the events. Raises ConnectorUnavailable; then all of it is tried again.
    """
    outgoing: list[Outgoing] = []
    places: list[int] = []
    dropped: list[int] = []
    letters: dict[int, NewDeadLetter] = {}
    for place, each in enumerate(outcomes):
        if each.letter is not None:
            letters[place] = each.letter
        elif each.forward is None:
            dropped.append(place)
        else:
            event = Outgoing(id=each.event.id, data=each.forward, group=each.event.group)
            outgoing.append(event)
            places.append(place)
    refused = await sink.send(outgoing) if outgoing else {}
    for number, reason in refused.items():
        letters[places[number]] = _refused_by_sink(outcomes[places[number]].event, reason)
    forwarded = tuple(place for place in places if place not in letters)
    return Delivered(forwarded=forwarded, dropped=tuple(dropped), letters=letters)


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
