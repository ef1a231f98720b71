"""Notices reach those who listen, in few transactions; what is lost is looked for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app import notifications
from app.db import Connection, Pool
from app.notifications import CHANNEL, LISTENER, Notice, Publisher, listen_forever, open_publisher
from app.settings import Settings
from tests.executions.queues import Queues


class Ears:
    """One who listens: what was heard, and how often it has looked."""

    def __init__(self) -> None:
        self.heard: list[Notice] = []
        self.looks = 0
        self._news = asyncio.Condition()

    def hear(self, notice: Notice) -> None:
        self.heard.append(notice)
        self._tell()

    async def look(self, conn: Connection) -> None:
        assert await conn.fetchval("SELECT 1") == 1
        self.looks += 1
        self._tell()

    async def until(self, condition: Callable[["Ears"], bool]) -> None:
        async with self._news:
            await self._news.wait_for(lambda: condition(self))

    @property
    def ended(self) -> set[UUID]:
        return {each for notice in self.heard for each in notice.ended}

    @property
    def changed(self) -> set[UUID]:
        return {each for notice in self.heard for each in notice.changed}

    def _tell(self) -> None:
        async def tell() -> None:
            async with self._news:
                self._news.notify_all()

        self._telling = asyncio.ensure_future(tell())


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[Ears]:
    ears = Ears()
    listener = asyncio.create_task(listen_forever(settings, heard=ears.hear, look=ears.look))
    try:
        await ears.until(lambda ears: ears.looks > 0)
        yield ears
    finally:
        listener.cancel()
        with suppress(asyncio.CancelledError):
            await listener


@pytest.fixture
async def ears(pool: Pool, settings: Settings) -> AsyncIterator[Ears]:  # noqa: ARG001
    async with listening(settings) as ears:
        yield ears


@pytest.fixture
async def publisher(pool: Pool, settings: Settings) -> AsyncIterator[Publisher]:  # noqa: ARG001
    async with open_publisher(settings) as publisher:
        yield publisher


async def test_every_id_is_heard_whatever_their_number(ears: Ears, publisher: Publisher) -> None:
    ended, changed = _ids(450), _ids(450)

    publisher.changed(*changed)
    publisher.ended(*ended)
    await ears.until(lambda ears: len(ears.ended) == 450 and len(ears.changed) == 450)

    assert (ears.ended, ears.changed) == (set(ended), set(changed))


async def test_what_comes_at_once_is_told_at_once(ears: Ears, publisher: Publisher) -> None:
    for each in (together := _ids(100)):
        publisher.ended(each)
    await ears.until(lambda ears: len(ears.ended) == 100)

    assert ears.ended == set(together)
    assert len(ears.heard) == 1


async def test_what_has_ended_is_not_told_to_run(ears: Ears, publisher: Publisher) -> None:
    short, later = _ids(2)
    publisher.changed(short)
    publisher.ended(short)
    publisher.changed(later)
    await ears.until(lambda ears: later in ears.changed)

    assert short in ears.ended
    assert short not in ears.changed


async def test_a_backlog_is_told_as_everything(ears: Ears, publisher: Publisher) -> None:
    publisher.ended(*_ids(10_000))
    await ears.until(lambda ears: Notice(all=True) in ears.heard)

    assert ears.heard == [Notice(all=True)]
    await ears.until(lambda ears: ears.looks > 1)


async def test_what_could_not_be_sent_is_sent_on_the_next_connection(
    pool: Pool, ears: Ears, publisher: Publisher
) -> None:
    first, second = _ids(2)
    publisher.ended(first)
    await ears.until(lambda ears: first in ears.ended)

    await _terminate(pool, "crivo")
    publisher.ended(second)
    await ears.until(lambda ears: second in ears.ended)


async def test_what_changes_twice_is_told_twice(ears: Ears, publisher: Publisher) -> None:
    [changing] = _ids(1)
    publisher.changed(changing)
    await ears.until(lambda ears: changing in ears.changed)
    ears.heard.clear()

    publisher.changed(changing)
    await ears.until(lambda ears: changing in ears.changed)


async def test_who_has_lost_its_connection_listens_and_looks_again(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It looks once for each connection, and else not at all.
    monkeypatch.setattr(notifications, "LOOK_SECONDS", 3_600)
    [told] = _ids(1)
    async with listening(settings) as ears, open_publisher(settings) as publisher:
        await _terminate(pool, LISTENER)
        await ears.until(lambda ears: ears.looks == 2)

        publisher.ended(told)
        await ears.until(lambda ears: told in ears.ended)


async def test_who_hears_nothing_looks_all_the_same(
    pool: Pool,  # noqa: ARG001
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifications, "LOOK_SECONDS", 0.01)
    async with listening(settings) as ears:
        await ears.until(lambda ears: ears.looks > 3)


async def test_a_foreign_notice_is_a_reason_to_look(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "LOOK_SECONDS", 3_600)
    async with listening(settings) as ears:
        await pool.execute("SELECT pg_notify($1, 'something else')", CHANNEL)
        await ears.until(lambda ears: ears.looks == 2)


async def test_the_last_notices_are_sent_before_the_end(
    pool: Pool,  # noqa: ARG001
    settings: Settings,
) -> None:
    last = _ids(3)
    async with listening(settings) as ears:
        async with open_publisher(settings) as publisher:
            publisher.ended(*last)
        await ears.until(lambda ears: ears.ended == set(last))


async def _terminate(pool: Pool, application: str) -> None:
    """End the connections of that name but for one's own."""
    await pool.execute(
        """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = $1
        """,
        application,
    )


def _ids(number: int) -> list[UUID]:
    return [uuid.uuid7() for _ in range(number)]


async def test_an_outcome_is_told_of_as_it_is_recorded_and_a_late_one_is_not(
    pool: Pool, ears: Ears, publisher: Publisher
) -> None:
    queues = Queues(pool)
    tenant = await queues.tenant()
    await queues.accept(tenant, 2)
    late, held = await queues.claim(2)
    await queues.cancel(tenant, late.id)

    assert await queues.finish(late) is None
    assert await queues.finish(held) is not None
    # Told again when its report is repeated: the answer, and with it the notice, may be lost.
    assert await queues.finish(held) is not None

    await ears.until(lambda ears: len(ears.heard) == 2)
    publisher.ended(last := uuid.uuid7())
    await ears.until(lambda ears: last in ears.ended)
    assert ears.heard == [Notice(ended=(held.id,)), Notice(ended=(held.id,)), Notice(ended=(last,))]


async def test_what_somebody_else_has_told_is_not_told_to_have_begun(
    ears: Ears, publisher: Publisher
) -> None:
    short, later = _ids(2)
    publisher.changed(short, later)
    publisher.told(short)

    await ears.until(lambda ears: later in ears.changed)
    assert short not in ears.changed
