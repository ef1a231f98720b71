"""Send all events to a sink, which may answer to some of them at a time."""

from collections.abc import Sequence

from app.pipes.connectors.model import Outgoing, Sink


async def send_all(sink: Sink, events: Sequence[Outgoing]) -> dict[int, str]:
    """Return which events are refused, by their places. Raises ConnectorUnavailable."""
    refused: dict[int, str] = {}
    done = 0
    while done < len(events):
        sent = await sink.send(events[done:])
        refused |= {done + place: reason for place, reason in sent.refused.items()}
        if sent.trouble is not None:
            raise sent.trouble
        done += sent.count
    return refused
