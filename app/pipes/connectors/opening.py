"""Open the source and the sink of a pipe."""

from contextlib import AbstractAsyncContextManager
from typing import assert_never

from app.pipes.connectors.dataset_sink import open_dataset_sink
from app.pipes.connectors.dataset_source import open_dataset_source
from app.pipes.connectors.inbox import open_inbox
from app.pipes.connectors.model import ConnectorUnavailable, Sink, Source
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


def open_source(resources: Resources, pipe: LoadedPipe) -> AbstractAsyncContextManager[Source]:
    """Return the source of a pipe, to be opened. Opening raises ConnectorUnavailable."""
    source = pipe.definition.source.source
    match source:
        case HttpSource():
            return open_inbox(resources, pipe)
        case DatasetSource():
            return open_dataset_source(resources, pipe, source)
        case RedisStreamSource():
            raise _not_built("redis_stream")
        case SqsSource():
            raise _not_built("sqs")
        case _:
            assert_never(source)


def open_sink(resources: Resources, pipe: LoadedPipe) -> AbstractAsyncContextManager[Sink]:
    """Return the sink of a pipe, to be opened. Opening raises ConnectorUnavailable."""
    sink = pipe.definition.sink.sink
    match sink:
        case DatasetSink():
            return open_dataset_sink(resources, pipe, sink)
        case RedisStreamSink():
            raise _not_built("redis_stream")
        case SqsSink():
            raise _not_built("sqs")
        case HttpSink():
            raise _not_built("http")
        case _:
            assert_never(sink)


def _not_built(kind: str) -> ConnectorUnavailable:
    return ConnectorUnavailable(f"this installation has no connector for {kind}")
