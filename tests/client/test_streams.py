"""Responses that are read in parts go on after a failure that may pass, and end at others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

import crivo
from crivo import AsyncCrivo, Crivo, Retry
from tests.support.faulty_server import FaultyServer, Lost, Scripted

QUICK: Final = Retry(attempts=4, first_pause=0.001, max_pause=0.002)
NO_UTF8: Final = b'{"line":1,"status":"\xff","id":"01a1fbeb-e349-7359-851e-28a65d1b7be4"}\n'
ANY: Final = "01a1fbeb-e349-7359-851e-28a65d1b7be4"


@pytest.fixture
def client(faulty: FaultyServer) -> Iterator[Crivo]:
    with Crivo(faulty.url, retry=QUICK) as client:
        yield client


def test_a_download_goes_on_where_it_was_cut(
    client: Crivo, faulty: FaultyServer, tmp_path: Path
) -> None:
    name = f"long-{uuid4().hex[:8]}"
    client.scripts.push(name, "function process(n) { return 'abcdefgh'.repeat(n) }")
    result = client.run(name, 100_000)
    faulty.faults = [Lost(forwarded=True, after_bytes=300_000), Lost()]

    size = client.executions.save_result(result.execution.id, tmp_path / "result")

    assert (tmp_path / "result").read_bytes() == result.content
    assert size == len(result.content)
    assert faulty.seen[-1].headers["range"] == "bytes=300000-"


def test_watching_goes_on_after_a_lost_connection(
    client: Crivo, faulty: FaultyServer, echo: str
) -> None:
    queued = client.executions.submit(echo, 1)
    client.executions.wait(queued.id)
    faulty.faults = [Lost(), Lost(forwarded=True, after_bytes=10)]

    assert [each.status for each in client.executions.watch(queued.id)] == ["succeeded"]


def test_a_busy_service_is_asked_for_each_stream_again(
    client: Crivo, faulty: FaultyServer, echo: str
) -> None:
    execution = client.run(echo, 1).execution
    batch = client.batches.submit(echo, [1, 2])
    client.batches.wait(batch.id)
    streams: list[Any] = [
        lambda: list(client.executions.result_chunks(execution.id)),
        lambda: [each.status for each in client.executions.watch(execution.id)],
        lambda: [each.line for each in client.batches.results(batch.id)],
    ]
    found = []
    for stream in streams:
        faulty.faults = [_problem(503), _problem(429), Scripted(status=502, body=b"<html>")]
        found.append(stream())

    assert found == [[b"1"], ["succeeded"], [1, 2]]
    for stream in streams:
        faulty.seen.clear()
        faulty.faults = [_problem(503)] * QUICK.attempts
        with pytest.raises(crivo.Unavailable):
            stream()
        assert len(faulty.seen) == QUICK.attempts
        faulty.faults = [_problem(404)]
        with pytest.raises(crivo.NotFound):
            stream()
        assert len(faulty.seen) == QUICK.attempts + 1


def test_a_result_that_is_missing_is_told_apart(client: Crivo, faulty: FaultyServer) -> None:
    line = f'{{"line":1,"id":"{ANY}","status":"succeeded","result_missing":true}}\n'
    faulty.faults = [Scripted(body=line.encode())]

    [result] = client.batches.results(ANY)

    assert result.result_missing
    with pytest.raises(ValueError, match="missing"):
        result.json()


async def test_text_that_is_not_utf_8_is_not_crivos(client: Crivo, faulty: FaultyServer) -> None:
    events = Scripted(
        headers={"Content-Type": "text/event-stream"}, body=b"data: " + NO_UTF8 + b"\n"
    )
    numbers = Scripted(body=b'{"\xff": 0, "line": 1}\n')
    faulty.faults = [events, numbers, Scripted(body=NO_UTF8), Scripted(body=NO_UTF8)]

    with pytest.raises(crivo.UnexpectedResponse):
        next(client.batches.watch(ANY))
    with pytest.raises(crivo.UnexpectedResponse):
        next(client.batches.results(ANY))
    with pytest.raises(crivo.UnexpectedResponse):
        next(client.batches.results(ANY))
    async with AsyncCrivo(faulty.url, retry=QUICK) as asynchronous:
        with pytest.raises(crivo.UnexpectedResponse):
            await anext(asynchronous.batches.results(ANY))


def _problem(status: int) -> Scripted:
    body = (
        f'{{"type":"urn:crivo:problem:any","title":"t","status":{status},"detail":"d",'
        '"request_id":"r"}'
    )
    return Scripted(
        status=status, headers={"Content-Type": "application/problem+json"}, body=body.encode()
    )
