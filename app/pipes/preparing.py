"""Receive and process the batches of a pipe, each in a time that has an end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from msgspec import Struct

from app.limits import MIB
from app.pipes.connectors.model import ConnectorUnavailable, Event, Source
from app.pipes.model import DatasetSink, LoadedPipe
from app.pipes.plans import PlanCache
from app.pipes.processing import EventOutcome, process_events
from app.resources import Resources

_MAX_BYTES: Final = 8 * MIB
_WAIT_SECONDS: Final = 1.0
# How long anything outside of this worker may take to answer, beyond what it was asked to wait.
_ANSWER_SECONDS: Final = 30.0
# After so long, what is processed is sent before the rest of its batch is.
_PROCESS_SECONDS: Final = 10.0


class _BatchSize(Struct, frozen=True, kw_only=True):
    """How many events a batch takes at most, and how long its first one waits for others."""

    events: int
    wait_seconds: float


# A snapshot should be no fragment.
_OF_DATASET: Final = _BatchSize(events=10_000, wait_seconds=2.0)
_OF_OTHERS: Final = _BatchSize(events=2_000, wait_seconds=0.02)


class Batch(Struct, frozen=True, kw_only=True):
    """Events in the source's order, and what each has become; not empty."""

    events: Sequence[Event]
    outcomes: Sequence[EventOutcome]
    began: float


class Preparer:
    """Prepares the batches of a pipe as it is defined at one time."""

    def __init__(self, resources: Resources, pipe: LoadedPipe, source: Source) -> None:
        """Take a pipe and its open source.

        No plan is older than the sink: a dataset of this name may have been made anew.
        """
        self._resources = resources
        self._pipe = pipe
        self._source = source
        self._size = _size_of(pipe)
        self._plans = PlanCache(resources, pipe)
        # Events that were received and not processed in time.
        self._left: Sequence[Event] = ()

    async def next_batch(self) -> Batch | None:
        """Receive and process the next batch; None: nothing has come for a while.

        Raises ConnectorUnavailable, and what `resolve_plan` and `process_events` raise.
        """
        events = self._left or await self._receive()
        if not events:
            return None
        began = monotonic()
        async with answering("what the pipe's schemas and its script are read from"):
            plan = await self._plans.plan()
        outcomes = await process_events(
            self._resources, self._pipe, events, plan, seconds=_PROCESS_SECONDS
        )
        self._left = events[len(outcomes) :]
        return Batch(events=events[: len(outcomes)], outcomes=outcomes, began=began)

    async def _receive(self) -> list[Event]:
        """Receive what the source has, up to a batch; the first event waits for others a little."""
        size = self._size
        events: list[Event] = []
        left_bytes, wait_seconds, until = _MAX_BYTES, _WAIT_SECONDS, 0.0
        while len(events) < size.events and left_bytes > 0 and wait_seconds >= 0:
            async with answering("the source", wait_seconds=wait_seconds):
                more = await self._source.receive(
                    max_events=size.events - len(events),
                    max_bytes=left_bytes,
                    wait_seconds=wait_seconds,
                )
            if not more:
                break
            if not events:
                until = monotonic() + size.wait_seconds
            events += more
            left_bytes -= sum(len(each.data) for each in more)
            wait_seconds = until - monotonic()
        return events


@asynccontextmanager
async def answering(what: str, *, wait_seconds: float = 0.0) -> AsyncIterator[None]:
    """Bound how long a block takes. Raises ConnectorUnavailable after that."""
    limit = asyncio.timeout(wait_seconds + _ANSWER_SECONDS)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise ConnectorUnavailable(f"{what} has not answered for {_ANSWER_SECONDS:g} s") from None


def _size_of(pipe: LoadedPipe) -> _BatchSize:
    """Return how large batches are: as the definition says, else as suits the sink."""
    to_dataset = isinstance(pipe.definition.sink.sink, DatasetSink)
    size = _OF_DATASET if to_dataset else _OF_OTHERS
    chosen = pipe.definition.batch
    return _BatchSize(
        events=size.events if chosen.events is None else chosen.events,
        wait_seconds=size.wait_seconds if chosen.wait_ms is None else chosen.wait_ms / 1_000,
    )
