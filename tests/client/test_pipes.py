"""Pipes from the library and from the command line."""

import asyncio
import json
import re
import shlex
import signal
from pathlib import Path

import pytest

from crivo import AsyncCrivo, Conflict, Crivo, Pipe, Retry, SentLines, Unreachable
from crivo.cli.exit_codes import ExitCode
from tests.pipes.http_pipes import lines_of, pipe_when, put_dataset, to_dataset
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import FaultyServer, Lost, Stuck
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
        faulty.faults += [Lost(forwarded=True, after_bytes=0)]

        assert client.pipes.send_lines(dataset, [b"1", b"2"]) == 2

        pipe_when(system, dataset, forwarded=2)
    assert lines_of(system, dataset) == [b"1", b"2"]


def _long_lines(count: int) -> list[bytes]:
    """Four of them go into one request."""
    return [b'{"n":%d,"text":"%s"}' % (number, b"x" * 900_000) for number in range(count)]


def test_lines_go_on_through_a_restart_and_after_it_where_they_have_ended(
    system: System, faulty: FaultyServer, dataset: str
) -> None:
    lines, quick = _long_lines(9), Retry(attempts=3, first_pause=0.001, max_pause=0.002)
    with Crivo(faulty.url, retry=quick) as client:
        client.pipes.put(dataset, _definition(dataset))
        client.pipes.pause(dataset)
        # Forwarded, and then away for longer than a client usually waits.
        faulty.faults += [
            None,
            Lost(forwarded=True, after_bytes=0),
            *[Lost()] * (quick.attempts * 3),
        ]
        assert client.pipes.send_lines(dataset, lines[:8]) == 8

        sent = SentLines()
        faulty.faults += [
            None,
            Lost(forwarded=True, after_bytes=0),
            *[Lost()] * (quick.attempts * 6 - 1),
        ]
        with pytest.raises(Unreachable):
            client.pipes.send_lines(dataset, lines, sent=sent)
        assert not faulty.faults
        assert (sent.accepted, sent.next_line) == (4, 5)
        assert sent.unknown is not None
        assert (sent.unknown.first, sent.unknown.last) == (5, 8)

        key = sent.unknown.idempotency_key
        assert client.pipes.send_lines(dataset, lines, from_line=5, idempotency_key=key) == 5
        assert client.pipes.show(dataset).lag.events == 17
        client.pipes.resume(dataset)
    pipe_when(system, dataset, forwarded=17)
    assert lines_of(system, dataset) == [*lines[:8], *lines]


def test_an_interrupted_command_says_how_it_goes_on(
    client: Crivo, crivo: CrivoCommand, faulty: FaultyServer, dataset: str
) -> None:
    lines = _long_lines(6)
    (crivo.home / "events.jsonl").write_bytes(b"\n".join(lines))
    client.pipes.put(dataset, _definition(dataset))
    client.pipes.pause(dataset)
    faulty.stuck = stuck = Stuck(path="/events", after=1, forwarded=True)
    process = crivo.started("pipes", "send", dataset, "events.jsonl", CRIVO_URL=faulty.url)
    assert stuck.reached.wait(60)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1].decode()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "lines 1 to 4 are stored, 5 to 6 may be" in err

    [command] = re.findall("`crivo (.*)`", err)
    again = crivo(*shlex.split(command))

    assert again.text == "2 events are stored\n"
    assert client.pipes.show(dataset).lag.events == 6


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
    assert crivo("pipes", "send", dataset, "-", stdin=b"1\n\n2").text == "2 events are stored\n"
    refused = crivo("pipes", "delete", dataset)
    assert refused.code == ExitCode.REFUSED
    assert f"`crivo pipes delete {dataset} --erase`" in refused.err
    assert crivo("pipes", "delete", dataset, "--erase").code == 0
