"""Dead letters from the library and from the command line."""

import asyncio
import json

import pytest

from crivo import AsyncCrivo, Crivo, Gone, InvalidRequest
from crivo.cli.exit_codes import ExitCode
from tests.dead_letters.letters import letter
from tests.dead_letters.over_http import insert_letters
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import FaultyServer, Lost
from tests.support.system import System

EVENTS = [b'{"a": "\\ud800", "a": 1.0}', b'{\n"a": 1}', b"\xff", b'"last" ']


def test_the_library_reads_events_byte_for_byte(system: System, client: Crivo) -> None:
    pipe, ids = insert_letters(system, [letter(n, each) for n, each in enumerate(EVENTS)])
    letters = client.dead_letters

    assert [str(each.id) for each in letters.list(pipe=pipe, page_size=3)] == ids[::-1]
    assert [each.content for each in letters.download(pipe=pipe)] == EVENTS
    assert [letters.event(each) for each in ids] == EVENTS
    assert [letters.show(each).content for each in ids] == EVENTS
    [count] = letters.counts(pipe)
    assert (count.kind, count.dead) == ("timeout", 4)
    letters.erase(ids[0])
    with pytest.raises(Gone):
        letters.event(ids[0])
    assert letters.show(ids[0]).content is None
    with pytest.raises(InvalidRequest):
        letters.erase_all()
    assert letters.erase_all(pipe=pipe, state="dead") == 3

    async def read() -> list[str]:
        async with AsyncCrivo(system.url) as asynchronous:
            found = asynchronous.dead_letters.download(pipe=pipe, state="all")
            return [each.state async for each in found]

    assert asyncio.run(read()) == ["erased"] * 4
    assert not list(letters.download(pipe=pipe))


def test_a_download_goes_on_after_a_lost_connection(system: System, faulty: FaultyServer) -> None:
    events = [b'"%s%d"' % (b"x" * 300_000, number) for number in range(6)]
    pipe, _ = insert_letters(system, [letter(n, each) for n, each in enumerate(events)])
    faulty.faults += [Lost(after_bytes=1_000_000)]

    with Crivo(faulty.url) as client:
        assert [each.content for each in client.dead_letters.download(pipe=pipe)] == events


def test_the_command_line_lists_shows_downloads_and_erases(
    system: System, crivo: CrivoCommand
) -> None:
    events = [b'{"number":1}', b'{"number": 2}']
    pipe, ids = insert_letters(system, [letter(n, each) for n, each in enumerate(events)])

    listed = crivo("dead-letters", "list", "--pipe", pipe, "--kind", "timeout")
    assert [line.split("\t")[0] for line in listed.text.splitlines()] == ids[::-1]
    assert "it failed" in crivo("dead-letters", "show", ids[0]).err
    assert crivo("dead-letters", "show", ids[1], "--event").text == '{"number": 2}'
    assert crivo("dead-letters", "download", "--pipe", pipe).text == '{"number":1}\n{"number": 2}\n'
    full = crivo("dead-letters", "download", "--pipe", pipe, "--full").text.splitlines()
    assert [json.loads(line)["event"]["number"] for line in full] == [1, 2]
    assert crivo("dead-letters", "erase").code == ExitCode.USAGE
    for which in ((ids[0],), ("--pipe", pipe)):
        unsure = crivo("dead-letters", "erase", *which)
        assert (unsure.code, "nothing is erased" in unsure.err) == (ExitCode.USAGE, True)
        assert crivo("dead-letters", "erase", *which, "--yes").text == "1 erased\n"
    assert crivo("dead-letters", "download", "--pipe", pipe, "--full").text == ""
    every = crivo("dead-letters", "download", "--pipe", pipe, "--full", "--state", "all").text
    assert [json.loads(line)["state"] for line in every.splitlines()] == ["erased"] * 2

    in_any = crivo("dead-letters", "list", "--pipe", pipe, "--state", "all").text
    assert [line.split("\t")[2] for line in in_any.splitlines()] == ["erased"] * 2

    several, _ = insert_letters(system, [letter(1, b'{\n"a":1}')])
    refused = crivo("dead-letters", "download", "--pipe", several)
    assert (refused.code, "--full" in refused.err) == (ExitCode.FAILED, True)
