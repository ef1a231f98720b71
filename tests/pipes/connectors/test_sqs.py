"""SQS, by a stand-in: order within groups, messages kept invisible, and what SQS does not take."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from app.pipes.connectors import sqs_source
from app.pipes.connectors.model import ConnectorUnavailable, Event, Outgoing
from app.pipes.connectors.sqs_sink import SqsSink, open_sqs_sink
from app.pipes.connectors.sqs_source import SqsSource, open_sqs_source
from app.pipes.model import SqsSink as Sink, SqsSource as Source
from app.settings import Settings
from tests.pipes.connectors.sinks import send_all
from tests.support.faulty_server import FaultyServer, Scripted, faulty_server
from tests.support.servers_sqs import Sqs, run_stand_in_sqs


@pytest.fixture(scope="module")
def stand_in_sqs() -> Iterator[Sqs]:
    with run_stand_in_sqs() as sqs:
        yield sqs


@pytest.fixture
def proxy(stand_in_sqs: Sqs) -> Iterator[FaultyServer]:
    with faulty_server(stand_in_sqs.url) as server:
        yield server


class Opener:
    """Opens sources and sinks, until the test ends."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._settings = Settings(pipe_sqs_queues="*", pipe_sqs_endpoint=url)
        self._stack = stack

    async def source(self, queue: str) -> SqsSource:
        opening = open_sqs_source(self._settings, Source(queue=queue))
        return await self._stack.enter_async_context(opening)

    async def sink(self, queue: str) -> SqsSink:
        opening = open_sqs_sink(self._settings, Sink(queue=queue))
        return await self._stack.enter_async_context(opening)

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def opener(
    stand_in_sqs: Sqs, proxy: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Opener]:
    for name, value in stand_in_sqs.environ.items():
        monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:
        yield Opener(proxy.url, stack)


async def receive(source: SqsSource, events: int) -> Sequence[Event]:
    return await source.receive(max_events=events, max_bytes=1 << 20, wait_seconds=0)


def outgoing(bodies: Sequence[str], *, group: str | None = None) -> list[Outgoing]:
    return [Outgoing(id=f"id {each}", data=each.encode(), group=group) for each in bodies]


async def test_messages_are_forwarded_and_deleted_and_what_is_left_comes_back(
    stand_in_sqs: Sqs, opener: Opener
) -> None:
    stand_in_sqs.create("in")
    stand_in_sqs.create("out")
    bodies = [f'{{"n": {number}, "text": "é\\t"}}' for number in range(95)]
    stand_in_sqs.send("in", bodies)
    source, sink = await opener.source("in"), await opener.sink("out")

    events = await receive(source, 200)

    assert sorted(each.data.decode() for each in events) == sorted(bodies)
    assert (await source.lag()).events == 95
    refused = await send_all(sink, [Outgoing(id=each.id, data=each.data) for each in events])
    assert refused == {}
    sent = stand_in_sqs.take("out")
    assert {
        each["MessageAttributes"]["crivo_event_id"]["StringValue"]: each["Body"] for each in sent
    } == {each.id: each.data.decode() for each in events}
    await source.acknowledge(events[:90])
    assert stand_in_sqs.count("in") == (0, 5)
    await opener.close()
    assert stand_in_sqs.count("in") == (5, 0)


async def test_a_fifo_queue_keeps_the_order_of_its_groups(
    stand_in_sqs: Sqs, opener: Opener, proxy: FaultyServer
) -> None:
    stand_in_sqs.create("in.fifo")
    stand_in_sqs.create("out.fifo")
    for number in range(20):
        stand_in_sqs.send("in.fifo", [f"a{number}", f"a{number}+"], MessageGroupId="a")
        stand_in_sqs.send("in.fifo", [f"b{number}"], MessageGroupId="b")
    source, sink = await opener.source("in.fifo"), await opener.sink("out.fifo")
    proxy.seen.clear()

    while events := await receive(source, 50):
        sent = [Outgoing(id=each.id, data=each.data, group=each.group) for each in events]
        assert await send_all(sink, sent) == {}
        await source.acknowledge(events)

    taken = stand_in_sqs.take("out.fifo")
    bodies = [each["Body"] for each in taken]
    assert [each for each in bodies if each[0] == "b"] == [f"b{number}" for number in range(20)]
    assert [each for each in bodies if each[0] == "a"] == [
        body for number in range(20) for body in (f"a{number}", f"a{number}+")
    ]
    assert {each["Attributes"]["MessageGroupId"] for each in taken} == {"a", "b"}
    # Of one request SQS may take a later message and not an earlier one.
    for each in proxy.seen:
        if each.headers["x-amz-target"] == "AmazonSQS.SendMessageBatch":
            groups = [entry["MessageGroupId"] for entry in json.loads(each.body)["Entries"]]
            assert len(set(groups)) == len(groups)


async def test_what_sqs_does_not_take_is_refused_with_the_reason(
    stand_in_sqs: Sqs, opener: Opener
) -> None:
    stand_in_sqs.create("strict", MaximumMessageSize="262144")
    sink = await opener.sink("strict")
    events = [
        Outgoing(id="fits", data=b"x" * (262_144 - len("crivo_event_idString") - len("fits"))),
        Outgoing(id="large", data=b"x" * 262_144),
        Outgoing(id="control", data='"é\x00"'.encode()),
        Outgoing(id="noncharacter", data="\ufffe".encode()),
        Outgoing(id="bytes", data=b'"\xff"'),
        Outgoing(id="empty", data=b""),
        *(Outgoing(id=f"{number}", data=b"y" * 100_000) for number in range(5)),
    ]

    refused = await send_all(sink, events)

    assert refused == {
        1: "larger than 262144 bytes, with the id that is sent along",
        2: "SQS does not take the character U+0000 at byte 3",
        3: "SQS does not take the character U+FFFE at byte 0",
        4: "SQS takes UTF-8 only: byte 1 is something else",
        5: "SQS takes no empty message",
    }
    assert len(stand_in_sqs.take("strict")) == 6


def _failed(**codes: str) -> Scripted:
    """The reply to a request of which these entries have failed."""
    failed = [
        {"Id": number[1:], "Code": code, "SenderFault": code.startswith("Invalid")}
        for number, code in codes.items()
    ]
    return Scripted(body=json.dumps({"Successful": [], "Failed": failed}).encode())


async def test_entries_that_failed_are_sent_and_deleted_again(
    stand_in_sqs: Sqs, opener: Opener, proxy: FaultyServer
) -> None:
    stand_in_sqs.create("partial")
    source, sink = await opener.source("partial"), await opener.sink("partial")
    proxy.faults = [
        _failed(_0="InternalError", _1="InvalidMessageContents", _2="InternalError"),
        _failed(_0="RequestThrottled", _1="InternalError"),
    ]

    refused = await send_all(sink, outgoing(["a", "b", "c"]))

    assert refused == {1: "SQS refuses it: InvalidMessageContents"}
    events = await receive(source, 10)
    assert sorted(each.data for each in events) == [b"a", b"c"]
    proxy.faults = [_failed(_0="InternalError", _1="InternalError")]
    await source.acknowledge(events)
    assert stand_in_sqs.count("partial") == (0, 0)
    proxy.faults = [_failed(_0="RequestThrottled")] * 5
    with pytest.raises(ConnectorUnavailable, match="limits the rate") as throttled:
        await send_all(sink, outgoing(["d"]))
    assert throttled.value.retry_after == 1.0


async def test_messages_at_work_stay_invisible(
    stand_in_sqs: Sqs, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs_source, "VISIBILITY_SECONDS", 4)
    monkeypatch.setattr(sqs_source, "_EXTEND_SECONDS", 0.2)
    stand_in_sqs.create("slow")
    stand_in_sqs.send("slow", ["a"])
    source = await opener.source("slow")
    [event] = await receive(source, 1)

    for _ in range(10):
        await asyncio.sleep(0.5)
        assert stand_in_sqs.count("slow") == (0, 1)

    await source.acknowledge([event])
    assert stand_in_sqs.count("slow") == (0, 0)


async def test_trouble_is_named_without_what_is_the_operators(
    opener: Opener, proxy: FaultyServer, stand_in_sqs: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConnectorUnavailable, match="there is no queue missing in SQS"):
        await opener.sink("missing")
    stand_in_sqs.create("there")
    sink = await opener.sink("there")
    for code, reason in (
        ("AccessDenied", "the worker's credentials do not allow the queue there"),
        ("InvalidClientTokenId", "AWS refuses the worker's credentials"),
        ("ThrottlingException", "SQS limits the rate of the queue there"),
        ("Other", "SQS fails at the queue there: Other"),
    ):
        body = {"__type": f"com.amazonaws.sqs#{code}", "message": "arn:aws:iam::1:user/secret"}
        # botocore tries it twice.
        proxy.faults = [Scripted(status=400, body=json.dumps(body).encode())] * 2
        with pytest.raises(ConnectorUnavailable) as refused:
            await send_all(sink, outgoing(["a"]))
        assert refused.value.message == reason
        proxy.faults = []
    proxy.faults = [Scripted(status=502, body=b"<html>")] * 2
    with pytest.raises(ConnectorUnavailable, match="SQS "):
        await send_all(sink, outgoing(["a"]))
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(ConnectorUnavailable, match="the worker has no AWS_REGION"):
        await opener.sink("there")


async def test_the_log_has_what_sqs_has_answered_about_each_queue(
    opener: Opener, proxy: FaultyServer, stand_in_sqs: Sqs
) -> None:
    queues = ("first", "second")
    for queue in queues:
        stand_in_sqs.create(queue)
    sinks = [await opener.sink(queue) for queue in queues]
    body = {"__type": "com.amazonaws.sqs#AccessDenied", "message": "arn:aws:iam::1:user/crivo"}

    with capture_logs() as logs:
        for sink in sinks:
            proxy.faults = [Scripted(status=400, body=json.dumps(body).encode())]
            with pytest.raises(ConnectorUnavailable):
                await send_all(sink, outgoing(["a"]))

    assert [each["dependency"] for each in logs] == [f"SQS queue {queue}" for queue in queues]
    assert all("user/crivo" in each["reason"] for each in logs)
