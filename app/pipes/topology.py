"""Compare the pipes of a tenant: none may get its own events back, or share what is one's."""

from uuid import UUID

from app.db import Connection
from app.errors import invalid
from app.pipes.model import (
    DatasetSink,
    DatasetSource,
    PutPipe,
    RedisStreamSink,
    RedisStreamSource,
    SqsSink,
    SqsSource,
)
from app.pipes.store import select_other_definitions

# Where events can be put and taken: the kind and the name.
_Place = tuple[str, str]


async def require_apart(conn: Connection, tenant: UUID, name: str, wanted: PutPipe) -> None:
    """Check a definition against the tenant's other pipes, in a transaction that adds none else.

    Raises InvalidRequest.
    """
    others = await select_other_definitions(conn, tenant, name)
    if group := _group_of(name, wanted):
        for other, definition in others.items():
            if _group_of(other, definition) == group:
                raise invalid(
                    "/from/redis_stream/group", f"{group[1]!r} is the group of the pipe {other!r}"
                )
    _require_no_ring(wanted, others)


async def own_stream(conn: Connection, tenant: UUID, name: str, definition: PutPipe) -> str | None:
    """Return the stream that a pipe writes, if no other pipe of the tenant reads or writes it."""
    sink = definition.sink.sink
    if not isinstance(sink, RedisStreamSink):
        return None
    others = await select_other_definitions(conn, tenant, name)
    places = {each for other in others.values() for each in (_taken_from(other), _put_to(other))}
    return None if ("stream", sink.stream) in places else sink.stream


def _require_no_ring(wanted: PutPipe, others: dict[str, PutPipe]) -> None:
    start, end = _taken_from(wanted), _put_to(wanted)
    if start is None or end is None:
        return
    via = {end: ""}
    left = [end]
    while left:
        place = left.pop()
        if place == start:
            last = via[place]
            back = f"leads back to /from by the pipe {last!r}" if last else "is what the pipe reads"
            raise invalid("/to", f"{back}: its events would come back endlessly")
        for other, definition in others.items():
            further = _put_to(definition)
            if _taken_from(definition) == place and further is not None and further not in via:
                via[further] = other
                left.append(further)


def _group_of(name: str, definition: PutPipe) -> tuple[str, str] | None:
    source = definition.source.source
    if isinstance(source, RedisStreamSource):
        return source.stream, source.group or name
    return None


def _taken_from(definition: PutPipe) -> _Place | None:
    match definition.source.source:
        case DatasetSource(dataset=name):
            return "dataset", name
        case RedisStreamSource(stream=name):
            return "stream", name
        case SqsSource(queue=name):
            return "queue", name
        case _:
            return None


def _put_to(definition: PutPipe) -> _Place | None:
    match definition.sink.sink:
        case DatasetSink(dataset=name):
            return "dataset", name
        case RedisStreamSink(stream=name):
            return "stream", name
        case SqsSink(queue=name):
            return "queue", name
        case _:
            return None
