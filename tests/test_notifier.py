"""One connection delivers every topic, and a resync makes up for what it has missed."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

import pytest
from structlog.testing import capture_logs

from app import notifier
from app.db import Connection, Pool
from app.notifier import APPLICATION_NAME, Notifier, open_notifier
from app.settings import Settings
from tests.support.recorder import Recorder, terminate_connections

COUNT_LISTENERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1
"""
CHANNELS = ("test_one", "test_two")

pytestmark = pytest.mark.usefixtures("pool")


class Topic(Recorder):
    """Records the payloads of a channel, and how many times it has resynchronized."""

    def __init__(self, channel: str) -> None:
        super().__init__()
        self.channel = channel
        self.payloads: list[str] = []
        self.resyncs = 0
        self.fails = False

    def subscribe(self, listening: Notifier) -> AbstractContextManager[None]:
        return listening.subscribed(
            self.channel, on_notification=self._receive, resync=self._resync
        )

    async def _resync(self, conn: Connection) -> None:
        assert await conn.fetchval("SELECT 1") == 1
        self.resyncs += 1
        self.changed()
        if self.fails:
            raise RuntimeError("a fault in a resync")

    def _receive(self, payload: str) -> None:
        self.payloads.append(payload)
        self.changed()


@pytest.fixture
def only_reconnects_resync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "RESYNC_SECONDS", 3_600)


@asynccontextmanager
async def subscribed(settings: Settings) -> AsyncIterator[Topic]:
    topic = Topic(CHANNELS[0])
    async with open_notifier(settings) as listening:
        with topic.subscribe(listening):
            await topic.until(lambda: topic.resyncs > 0)
            yield topic


@pytest.mark.usefixtures("only_reconnects_resync")
async def test_topics_share_a_connection_and_get_their_own_payloads(
    pool: Pool, settings: Settings
) -> None:
    first, second = map(Topic, CHANNELS)
    async with open_notifier(settings) as listening:
        with first.subscribe(listening):
            await first.until(lambda: first.resyncs == 1)
            # A topic may join a connection that is open already.
            with second.subscribe(listening):
                await second.until(lambda: second.resyncs == 1)
                for topic in (first, second):
                    await pool.execute("SELECT pg_notify($1, $1)", topic.channel)
                await first.until(lambda: first.payloads == [first.channel])
                await second.until(lambda: second.payloads == [second.channel])
                assert await pool.fetchval(COUNT_LISTENERS, APPLICATION_NAME) == 1


@pytest.mark.usefixtures("only_reconnects_resync")
async def test_a_closed_topic_receives_nothing(pool: Pool, settings: Settings) -> None:
    first, second = map(Topic, CHANNELS)
    async with open_notifier(settings) as listening:
        with second.subscribe(listening):
            with first.subscribe(listening):
                await first.until(lambda: first.resyncs == 1)
            await pool.execute("SELECT pg_notify($1, '')", first.channel)
            await pool.execute("SELECT pg_notify($1, '')", second.channel)
            await second.until(lambda: second.payloads == [""])

    assert first.payloads == []


@pytest.mark.usefixtures("only_reconnects_resync")
async def test_each_subscriber_of_a_channel_receives_until_it_leaves(
    pool: Pool, settings: Settings
) -> None:
    stays, leaves = (Topic(CHANNELS[0]) for _ in range(2))
    async with open_notifier(settings) as listening:
        with stays.subscribe(listening):
            with leaves.subscribe(listening):
                await leaves.until(lambda: leaves.resyncs == 1)
                await pool.execute("SELECT pg_notify($1, 'both')", stays.channel)
                await leaves.until(lambda: leaves.payloads == ["both"])
            await pool.execute("SELECT pg_notify($1, 'one')", stays.channel)
            await stays.until(lambda: stays.payloads == ["both", "one"])

    assert leaves.payloads == ["both"]


async def test_without_a_topic_it_does_not_connect(pool: Pool, settings: Settings) -> None:
    async with open_notifier(settings):
        assert await pool.fetchval(COUNT_LISTENERS, APPLICATION_NAME) == 0


@pytest.mark.usefixtures("only_reconnects_resync")
async def test_after_a_lost_connection_it_resynchronizes_and_listens(
    pool: Pool, settings: Settings
) -> None:
    async with subscribed(settings) as topic:
        await terminate_connections(pool, APPLICATION_NAME)
        await topic.until(lambda: topic.resyncs == 2)

        await pool.execute("SELECT pg_notify($1, 'again')", topic.channel)
        await topic.until(lambda: topic.payloads == ["again"])


async def test_without_notifications_it_resynchronizes_at_intervals(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "RESYNC_SECONDS", 0.01)
    async with subscribed(settings) as topic:
        await topic.until(lambda: topic.resyncs > 3)


async def test_a_fault_in_a_resync_is_logged_once_and_survived(settings: Settings) -> None:
    topic = Topic(CHANNELS[0])
    topic.fails = True
    with capture_logs() as logs:
        async with open_notifier(settings) as listening:
            with topic.subscribe(listening):
                await topic.until(lambda: topic.resyncs == 2)
                topic.fails = False
                await topic.until(lambda: topic.resyncs == 3)

    assert [each["event"] for each in logs] == [
        "notices.not_heard",
        "notices.heard_again",
        "notices.heard_again",
    ]
