"""Events reach a URL in order, signed, and unchanged; which answers refuse them and which wait."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Literal
from uuid import UUID

import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook

from app.callbacks.service import signing_secrets
from app.db import Pool
from app.pipes.connectors.http_sink import HttpSink, open_http_sink
from app.pipes.connectors.model import ConnectorUnavailable, Outgoing
from app.pipes.model import HttpSink as Sink, HttpSource, LoadedPipe, PipeFrom, PipeTo, PutPipe
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT
from tests.pipes.connectors.sinks import send_all
from tests.support.receivers import Receiver, open_receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with open_receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def _sink(
    pool: Pool, settings: Settings, url: str, kind: Literal["json", "ndjson"] = "json"
) -> AsyncIterator[HttpSink]:
    sink = Sink(url=url, format=kind)
    pipe = LoadedPipe(
        id=UUID(int=1),
        tenant_id=DEFAULT_TENANT,
        tenant="default",
        name="events",
        revision=1,
        definition=PutPipe(source=PipeFrom(http=HttpSource()), sink=PipeTo(http=sink)),
    )
    settings = replace(settings, pipe_http=True, pipe_private_networks="127.0.0.1")
    async with open_http_sink(settings, pool, pipe, sink) as opened:
        yield opened


async def test_events_arrive_in_order_signed_and_unchanged(
    pool: Pool, settings: Settings, receiver: Receiver
) -> None:
    texts = ['{"n": 1.0, "é": [ ]}\r\n', '{"n":"bad"}', "[1e400]", '""']
    events = [Outgoing(id=f"redis:a b:{n}-0", data=each.encode()) for n, each in enumerate(texts)]
    events.append(Outgoing(id="bytes", data=b'"\xff"'))
    async with _sink(pool, settings, f"http://127.0.0.1:{receiver.port}/picky?a=1") as sink:
        refused = await send_all(sink, events)
        await send_all(sink, events[:1])

    assert refused == {
        1: "127.0.0.1 answers 422",
        4: "not UTF-8, of which requests are signed: byte 1",
    }
    assert [each.body.decode() for each in receiver.received] == [*texts, texts[0]]
    assert receiver.connections == 1
    async with pool.acquire() as conn:
        [secret] = await signing_secrets(conn, DEFAULT_TENANT)
    for each in receiver.received:
        Webhook(secret).verify(each.body, each.headers, json_parse=False)
    ids = [each.headers["crivo-event-id"] for each in receiver.received]
    assert ids == [f"redis:a%20b:{number}-0" for number in (0, 1, 2, 3, 0)]
    assert [each.headers["webhook-id"] for each in receiver.received] == ids


async def test_lines_share_requests_and_only_those_at_fault_are_refused(
    pool: Pool, settings: Settings, receiver: Receiver
) -> None:
    texts = [f'{{"n":{n}}}' for n in range(1_000)]
    texts[7], texts[500], texts[600] = '"bad"', '"bad too"', '{\n"n":600}'
    events = [
        Outgoing(id=f"redis:orders:1000-{n}", data=each.encode()) for n, each in enumerate(texts)
    ]
    async with _sink(pool, settings, f"http://127.0.0.1:{receiver.port}/picky", "ndjson") as sink:
        refused = await send_all(sink, events)

    assert refused == {
        7: "127.0.0.1 answers 422",
        500: "127.0.0.1 answers 422",
        600: "has a line feed, which would end its line of NDJSON",
    }
    taken = [each for each in receiver.received if b"bad" not in each.body]
    lines = [line for each in taken for line in each.body.splitlines()]
    ids = [number for each in taken for number in each.headers["crivo-event-ids"].split(",")]
    expected = [each for place, each in enumerate(events) if place not in refused]
    assert lines == [each.data for each in expected]
    assert ids == [each.id for each in expected]
    assert {each.headers["content-type"] for each in taken} == {"application/x-ndjson"}
    # 5 to 6 requests hold a thousand ids; each event at fault halves one 8 times at most.
    assert len(receiver.received) < 45


async def test_events_before_the_first_without_an_answer_are_told_apart(
    pool: Pool, settings: Settings, receiver: Receiver
) -> None:
    events = [Outgoing(id=f"redis:orders:1000-{n}", data=b"%d" % n) for n in range(1_000)]
    events[3], events[999] = (replace(events[n], data=b"\n") for n in (3, 999))
    async with _sink(pool, settings, f"http://127.0.0.1:{receiver.port}/once", "ndjson") as sink:
        sent = await sink.send(events)

    taken = receiver.received[0].body.splitlines()
    assert sent.count == len(taken) + 1
    assert list(sent.refused) == [3]
    assert sent.trouble is not None
    assert sent.trouble.message == "127.0.0.1 answers 503"


@pytest.mark.parametrize(
    ("path", "reason", "retry_after"),
    [
        ("status/401", "127.0.0.1 answers 401", None),
        ("status/403", "127.0.0.1 answers 403", None),
        ("status/404", "127.0.0.1 answers 404", None),
        ("status/409", "127.0.0.1 answers 409", None),
        ("status/410", "127.0.0.1 answers 410", None),
        ("status/429?retry_after=7", "127.0.0.1 answers 429", 7.0),
        ("status/503?retry_after=100000", "127.0.0.1 answers 503", 3_600.0),
        ("redirect?to=/ok", "127.0.0.1 answers 302", None),
        ("cut", "no answer from 127.0.0.1", None),
        ("heads", "no answer from 127.0.0.1", None),
    ],
)
async def test_other_answers_make_the_pipe_wait(
    pool: Pool,
    settings: Settings,
    receiver: Receiver,
    path: str,
    reason: str,
    retry_after: float | None,
) -> None:
    async with _sink(pool, settings, f"http://127.0.0.1:{receiver.port}/{path}") as sink:
        with pytest.raises(ConnectorUnavailable) as unavailable:
            await send_all(sink, [Outgoing(id="1", data=b"1"), Outgoing(id="2", data=b"2")])

    assert (unavailable.value.message, unavailable.value.retry_after) == (reason, retry_after)
    assert len(receiver.received) == 1


async def test_a_url_that_settings_no_longer_allow_gets_nothing(
    pool: Pool, settings: Settings, receiver: Receiver
) -> None:
    with pytest.raises(ConnectorUnavailable, match="the URL has an address that is not public"):
        async with _sink(pool, settings, f"http://127.0.0.2:{receiver.port}/ok"):
            pass
    assert receiver.connections == 0
