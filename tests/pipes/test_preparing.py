"""A batch is prepared in a time that has an end, and each event of it is forwarded or refused."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest

from app.db import Pool
from app.pipes import preparing
from app.pipes.connectors.model import ConnectorUnavailable, Event, Lag
from app.pipes.model import DatasetSink, HttpSource, LoadedPipe, PipeFrom, PipeTo, PutPipe
from app.pipes.plans import Plan, PlanCache, PlannedScript
from app.pipes.preparing import Preparer
from app.pipes.processing import process_events
from app.resources import Resources, open_resources
from app.sandbox.outcomes import Context, Limits
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT

_PIPE = LoadedPipe(
    id=UUID(int=1),
    tenant_id=DEFAULT_TENANT,
    tenant="default",
    name="p",
    revision=1,
    definition=PutPipe(
        source=PipeFrom(http=HttpSource()), sink=PipeTo(dataset=DatasetSink(dataset="d"))
    ),
)
_SCRIPT = b"function map(n) { if (n === 2) for (;;); return n; }"
_PLAN = Plan(
    checks=None,
    versions={},
    script=PlannedScript(
        id=UUID(int=2),
        version=1,
        source=_SCRIPT,
        has_map=True,
        limits=Limits(wall_ms=200, memory_bytes=2**26, output_bytes=2**20),
        context=Context(script="s", version=1, labels={}),
    ),
)


@pytest.fixture
async def resources(pool: Pool, settings: Settings) -> AsyncIterator[Resources]:
    assert pool is not None
    async with open_resources(settings, cells=1) as resources:
        yield resources


class _StandInSource:
    """Has three events, and then nothing: not even an answer."""

    def __init__(self) -> None:
        self._events = [Event(id=f"{n}", data=b"%d" % n) for n in (1, 2, 3)]

    async def receive(
        self, *, max_events: int, max_bytes: int, wait_seconds: float
    ) -> Sequence[Event]:
        del max_events, max_bytes, wait_seconds
        if not self._events:
            await asyncio.Event().wait()
        events, self._events = self._events, []
        return events

    async def acknowledge(self, events: Sequence[Event]) -> None:
        raise NotImplementedError

    async def lag(self) -> Lag:
        raise NotImplementedError


async def test_what_is_processed_in_time_goes_before_the_rest(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def plan(_: PlanCache) -> Plan:
        return _PLAN

    monkeypatch.setattr(PlanCache, "plan", plan)
    # Stands in for scripts that take longer than this.
    monkeypatch.setattr(preparing, "_PROCESS_SECONDS", 0.0)
    monkeypatch.setattr(preparing, "_OF_DATASET", preparing._BatchSize(events=3, wait_seconds=0))
    monkeypatch.setattr(preparing, "_ANSWER_SECONDS", 5.0)
    preparer = Preparer(resources, _PIPE, _StandInSource())

    batches = [await preparer.next_batch() for _ in range(3)]

    outcomes = [each.outcomes for each in batches if each is not None]
    assert [[each.event.id for each in some] for some in outcomes] == [["1"], ["2"], ["3"]]
    assert [some[0].forward for some in outcomes] == [b"1", None, b"3"]


async def test_only_a_pipe_with_a_schema_or_a_script_looks_at_its_events(
    resources: Resources,
) -> None:
    events = [
        Event(id=f"{n}", data=data) for n, data in enumerate((b"", b" \r\n", b"no json", b"1"))
    ]
    nothing = Plan(checks=None, versions={}, script=None)

    unread = await process_events(resources, _PIPE, events, nothing)
    read = await process_events(resources, _PIPE, events, _PLAN)

    assert [each.forward for each in unread] == [each.data for each in events]
    assert [each.letter and each.letter.event for each in read] == [b"", b" \r\n", b"no json", None]
    assert read[3].forward == b"1"


async def test_a_source_that_never_answers_is_trouble(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "_ANSWER_SECONDS", 0.05)
    source = _StandInSource()
    await source.receive(max_events=3, max_bytes=9, wait_seconds=0)

    with pytest.raises(ConnectorUnavailable, match="the source has not answered"):
        await Preparer(resources, _PIPE, source).next_batch()
