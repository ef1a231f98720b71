"""Open the source and the sink of a pipe."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar, assert_never

from app.pipes.connectors.dataset_sink import open_dataset_sink
from app.pipes.connectors.dataset_source import open_dataset_source
from app.pipes.connectors.http_sink import open_http_sink
from app.pipes.connectors.inbox import open_inbox
from app.pipes.connectors.model import ConnectorUnavailable, Sink, Source
from app.pipes.connectors.permissions import may_use_queue
from app.pipes.connectors.redis_sink import open_redis_sink
from app.pipes.connectors.redis_source import open_redis_source
from app.pipes.connectors.sqs_sink import open_sqs_sink
from app.pipes.connectors.sqs_source import open_sqs_source
from app.pipes.model import (
    DatasetSink,
    DatasetSource,
    HttpSink,
    HttpSource,
    LoadedPipe,
    RedisStreamSink,
    RedisStreamSource,
    SqsSink,
    SqsSource,
)
from app.resources import Resources

T = TypeVar("T")


def open_source(resources: Resources, pipe: LoadedPipe) -> AbstractAsyncContextManager[Source]:
    """Return the source of a pipe, to be opened. Opening raises ConnectorUnavailable."""
    source = pipe.definition.source.source
    match source:
        case HttpSource():
            return open_inbox(resources, pipe)
        case DatasetSource():
            return open_dataset_source(resources, pipe, source)
        case RedisStreamSource():
            return open_redis_source(resources.settings, pipe, source)
        case SqsSource():
            return _permitted(
                resources, pipe, source.queue, open_sqs_source(resources.settings, source)
            )
        case _:
            assert_never(source)


def open_sink(resources: Resources, pipe: LoadedPipe) -> AbstractAsyncContextManager[Sink]:
    """Return the sink of a pipe, to be opened. Opening raises ConnectorUnavailable."""
    sink = pipe.definition.sink.sink
    match sink:
        case DatasetSink():
            return open_dataset_sink(resources, pipe, sink)
        case RedisStreamSink():
            return open_redis_sink(resources.settings, pipe, sink)
        case SqsSink():
            return _permitted(resources, pipe, sink.queue, open_sqs_sink(resources.settings, sink))
        case HttpSink():
            return open_http_sink(resources.settings, resources.pool, pipe, sink)
        case _:
            assert_never(sink)


@asynccontextmanager
async def _permitted(
    resources: Resources, pipe: LoadedPipe, queue: str, opening: AbstractAsyncContextManager[T]
) -> AsyncIterator[T]:
    """Open what uses a queue, if the tenant still may."""
    async with resources.pool.acquire() as conn:
        permitted = await may_use_queue(conn, resources.settings, tenant=pipe.tenant, queue=queue)
    if not permitted:
        raise ConnectorUnavailable(f"the tenant may not use the queue {queue} of SQS")
    async with opening as opened:
        yield opened
