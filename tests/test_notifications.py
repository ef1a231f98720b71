"""Publish and receive notices: batched, complete, and each after its commit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app import notifier
from app.db import Connection, Pool
from app.notifications import CHANNEL, Notice, Publisher, open_publisher, subscribe
from app.notifier import open_notifier
from app.settings import Settings
from tests.support.queues import Queues
from tests.support.recorder import Recorder, terminate_connections


class Subscriber(Recorder):
    """Records the notices it receives, and how many times it has resynchronized."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[Notice] = []
        self.resyncs = 0

    def on_notice(self, notice: Notice) -> None:
        self.notices.append(notice)
        self.changed()

    async def resync(self, _: Connection) -> None:
        self.resyncs += 1
        self.changed()

    @property
    def ended_ids(self) -> set[UUID]:
        return {each for notice in self.notices for each in notice.ended}

    @property
    def changed_ids(self) -> set[UUID]:
        return {each for notice in self.notices for each in notice.changed}


@asynccontextmanager
async def subscribed(settings: Settings) -> AsyncIterator[Subscriber]:
    subscriber = Subscriber()
    async with open_notifier(settings) as listening:
        with subscribe(listening, on_notice=subscriber.on_notice, resync=subscriber.resync):
            await subscriber.until(lambda: subscriber.resyncs > 0)
            yield subscriber


@pytest.fixture
async def subscriber(pool: Pool, settings: Settings) -> AsyncIterator[Subscriber]:  # noqa: ARG001
    async with subscribed(settings) as subscriber:
        yield subscriber


@pytest.fixture
async def publisher(pool: Pool, settings: Settings) -> AsyncIterator[Publisher]:  # noqa: ARG001
    async with open_publisher(settings) as publisher:
        yield publisher


async def test_every_id_arrives_whatever_their_number(
    subscriber: Subscriber, publisher: Publisher
) -> None:
    ended, changed = _ids(450), _ids(450)

    publisher.changed(*changed)
    publisher.ended(*ended)
    await subscriber.until(
        lambda: len(subscriber.ended_ids) == 450 and len(subscriber.changed_ids) == 450
    )

    assert (subscriber.ended_ids, subscriber.changed_ids) == (set(ended), set(changed))


async def test_simultaneous_ends_share_one_notice(
    subscriber: Subscriber, publisher: Publisher
) -> None:
    for each in (together := _ids(100)):
        publisher.ended(each)
    await subscriber.until(lambda: len(subscriber.ended_ids) == 100)

    assert subscriber.ended_ids == set(together)
    assert len(subscriber.notices) == 1


async def test_an_end_replaces_an_earlier_change(
    subscriber: Subscriber, publisher: Publisher
) -> None:
    short, later = _ids(2)
    publisher.changed(short)
    publisher.ended(short)
    publisher.changed(later)
    await subscriber.until(lambda: later in subscriber.changed_ids)

    assert short in subscriber.ended_ids
    assert short not in subscriber.changed_ids


async def test_too_many_pending_ids_become_one_notice_and_a_resync(
    subscriber: Subscriber, publisher: Publisher
) -> None:
    publisher.ended(*_ids(10_000))
    await subscriber.until(lambda: Notice(all=True) in subscriber.notices)

    assert subscriber.notices == [Notice(all=True)]
    await subscriber.until(lambda: subscriber.resyncs > 1)


async def test_an_unsent_notice_is_sent_on_the_next_connection(
    pool: Pool, subscriber: Subscriber, publisher: Publisher
) -> None:
    first, second = _ids(2)
    publisher.ended(first)
    await subscriber.until(lambda: first in subscriber.ended_ids)

    await terminate_connections(pool, "crivo")
    publisher.ended(second)
    await subscriber.until(lambda: second in subscriber.ended_ids)


async def test_two_changes_of_an_execution_are_two_notices(
    subscriber: Subscriber, publisher: Publisher
) -> None:
    [changing] = _ids(1)
    publisher.changed(changing)
    await subscriber.until(lambda: changing in subscriber.changed_ids)
    subscriber.notices.clear()

    publisher.changed(changing)
    await subscriber.until(lambda: changing in subscriber.changed_ids)


async def test_a_payload_in_another_format_causes_a_resync(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "RESYNC_SECONDS", 3_600)
    async with subscribed(settings) as subscriber:
        await pool.execute("SELECT pg_notify($1, 'something else')", CHANNEL)
        await subscriber.until(lambda: subscriber.resyncs == 2)


async def test_pending_notices_are_sent_as_the_process_ends(
    pool: Pool,  # noqa: ARG001
    settings: Settings,
) -> None:
    last = _ids(3)
    async with subscribed(settings) as subscriber:
        async with open_publisher(settings) as publisher:
            publisher.ended(*last)
        await subscriber.until(lambda: subscriber.ended_ids == set(last))


async def test_a_recorded_outcome_is_published_and_a_late_report_is_not(
    pool: Pool, subscriber: Subscriber, publisher: Publisher
) -> None:
    queues = Queues(pool)
    tenant = await queues.tenant()
    await queues.accept(tenant, 2)
    late, held = await queues.claim(2)
    await queues.cancel(tenant, late.id)

    assert await queues.finish(late) is None
    assert await queues.finish(held) is not None
    # A repeated report is published again: the first answer and its notice may have been lost.
    assert await queues.finish(held) is not None

    await subscriber.until(lambda: len(subscriber.notices) == 2)
    publisher.ended(last := uuid.uuid7())
    await subscriber.until(lambda: last in subscriber.ended_ids)
    assert [each.ended for each in subscriber.notices] == [(held.id,), (held.id,), (last,)]


async def test_a_discarded_change_is_not_sent(subscriber: Subscriber, publisher: Publisher) -> None:
    short, later = _ids(2)
    publisher.changed(short, later)
    publisher.discard(short)

    await subscriber.until(lambda: later in subscriber.changed_ids)
    assert short not in subscriber.changed_ids


def _ids(number: int) -> list[UUID]:
    return [uuid.uuid7() for _ in range(number)]
