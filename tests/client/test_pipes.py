"""Pipes from the library and from the command line."""

import asyncio
import json
from pathlib import Path

import pytest

from crivo import AsyncCrivo, Conflict, Crivo, Pipe
from crivo.cli.exit_codes import ExitCode
from tests.pipes.http_pipes import lines_of, pipe_when, put_dataset, to_dataset
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import FaultyServer, Lost
from tests.support.system import System


@pytest.fixture
def dataset(system: System) -> str:
    return put_dataset(system)


def _definition(dataset: str) -> dict[str, object]:
    return {"from": {"http": {}}, "to": to_dataset(dataset), "batch": {"wait_ms": 0}}


def test_the_library_makes_feeds_and_deletes_a_pipe(
    system: System, client: Crivo, dataset: str
) -> None:
    pipe = client.pipes.put(dataset, _definition(dataset))
    assert (pipe.state, pipe.source, pipe.sink) == ("running", {"http": {}}, to_dataset(dataset))
    assert client.pipes.send(dataset, {"n": 1}, event_id="first").first == "first"
    assert client.pipes.send_lines(dataset, [b'{"n":2}\n', b"\n", b'{"n": 3}']) == 2
    pipe_when(system, dataset, forwarded=3)
    assert lines_of(system, dataset) == [b'{"n":1}', b'{"n":2}', b'{"n": 3}']

    async def pause() -> list[Pipe]:
        async with AsyncCrivo(system.url) as asynchronous:
            pipes = asynchronous.pipes
            paused = await pipes.pause(dataset)
            await pipes.send_lines(dataset, [b"4"])
            return [paused, *[each async for each in pipes.list() if each.name == dataset]]

    paused, listed = asyncio.run(pause())
    assert (paused.state, listed.counts.forwarded, listed.lag.events) == ("paused", 3, 1)
    with pytest.raises(Conflict):
        client.pipes.delete(dataset)
    client.pipes.delete(dataset, erase=True)


def test_events_are_sent_once_over_a_lost_connection(
    system: System, faulty: FaultyServer, dataset: str
) -> None:
    with Crivo(faulty.url) as client:
        client.pipes.put(dataset, _definition(dataset))
        faulty.faults += [Lost(after_bytes=0)]

        assert client.pipes.send_lines(dataset, [b"1", b"2"]) == 2

        pipe_when(system, dataset, forwarded=2)
    assert lines_of(system, dataset) == [b"1", b"2"]


def test_the_command_line_puts_sends_and_shows(
    system: System, crivo: CrivoCommand, dataset: str, tmp_path: Path
) -> None:
    (tmp_path / "pipe.json").write_text(json.dumps(_definition(dataset)))
    (tmp_path / "events.jsonl").write_text('{"n":1}\n{"n":2}\n')

    made = crivo("pipes", "put", dataset, str(tmp_path / "pipe.json"))
    sent = crivo("pipes", "send", dataset, str(tmp_path / "events.jsonl"))

    assert (made.code, sent.code) == (0, 0), (made.err, sent.err)
    assert "2 events are stored" in sent.text
    pipe_when(system, dataset, forwarded=2)
    shown = crivo("pipes", "show", dataset)
    assert "read 2" in shown.text
    assert dataset in crivo("pipes", "list", "--limit", "0").text
    assert crivo("pipes", "pause", dataset).code == 0
    crivo("pipes", "send", dataset, str(tmp_path / "events.jsonl"))
    refused = crivo("pipes", "delete", dataset)
    assert refused.code == ExitCode.REFUSED
    assert f"`crivo pipes delete {dataset} --erase`" in refused.err
    assert crivo("pipes", "delete", dataset, "--erase").code == 0
