"""Batches from the library and from the command line, in pipes and in a terminal."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from msgspec import UNSET, Raw

from crivo import AsyncCrivo, Crivo, NotFinished
from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import Lost, faulty_server
from tests.support.system import System

DOUBLE: Final = "function process(n) { if (n < 0) throw Error('negative'); return 2 * n }\n"
ENDLESS: Final = "function process(_) { for (;;) {} }"


@pytest.fixture
def double(client: Crivo) -> str:
    return client.scripts.push(f"double-{uuid4().hex[:8]}", DOUBLE).script.name


def test_values_are_run_in_their_order(client: Crivo, double: str) -> None:
    queued = client.batches.submit(double, [3, "x", -1], labels={"of": "batch"})
    batch = client.batches.wait(queued.id)
    results = list(client.batches.results(queued.id))

    assert (queued.items, batch.status, batch.ended, batch.progress) == (3, "finished", 3, 1)
    assert [(each.line, each.status) for each in results] == [
        (1, "succeeded"),
        (2, "succeeded"),
        (3, "failed"),
    ]
    assert results[0].json() == 6
    assert results[1].json() is None
    assert results[2].error is not None
    assert (results[2].error.message, results[2].result) == ("negative", UNSET)
    assert [each.line for each in client.batches.results(queued.id, status=["failed"])] == [3]
    assert {each.id for each in results} == {
        each.id for each in client.executions.list(batch=queued.id)
    }
    assert client.executions.show(results[1].id).batch is not None
    assert queued.id in {each.id for each in client.batches.list()}
    assert [each.status for each in client.batches.watch(queued.id)][-1] == "finished"


def test_results_are_exact_also_where_they_are_no_utf_8(client: Crivo) -> None:
    name = f"halves-{uuid4().hex[:8]}"
    script = client.scripts.push(name, "function process(n) { return ['\\ud83d', n] }").script

    [result] = client.batches.run(script.name, [1])

    assert result.result == Raw(rb'["\ud83d",1]')


def test_lines_are_sent_as_they_are(client: Crivo, double: str, tmp_path: Path) -> None:
    (tmp_path / "in.ndjson").write_bytes(b"1\n\n0.5\n")
    (tmp_path / "in.json").write_bytes(b"[1, 0.5]")

    of_lines = client.batches.run(double, tmp_path / "in.ndjson")
    of_array = client.batches.run(double, tmp_path / "in.json", is_array=True)
    streamed = client.batches.run(double, iter([b"1\n0", b".5\n"]))

    assert [each.json() for each in of_lines] == [2, 1]
    assert [each.json() for each in of_array] == [2, 1]
    assert [each.json() for each in streamed] == [2, 1]
    with pytest.raises(TypeError):
        client.batches.submit(double, {"a": 1})  # type: ignore[arg-type] # refused at run time, too


async def test_batches_run_asynchronously(system: System, double: str) -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b"1\n"
        yield b"2\n"

    async with AsyncCrivo(system.url) as client:
        results = await client.batches.run(double, lines())
        assert [each.json() async for each in results] == [2, 4]


def test_a_batch_that_goes_on_is_left_and_cancelled(client: Crivo) -> None:
    name = client.scripts.push("endless-cli-batch", ENDLESS).script.name
    queued = client.batches.submit(name, [1, 2], wall_ms=60_000)

    with pytest.raises(NotFinished):
        client.batches.wait(queued.id, timeout=0.1)

    assert client.batches.cancel(queued.id).status == "cancelled"
    assert [each.status for each in client.batches.results(queued.id)] == ["cancelled"] * 2


def test_a_lost_connection_costs_neither_items_nor_lines(
    system: System, double: str, tmp_path: Path
) -> None:
    (tmp_path / "in.ndjson").write_bytes(b"1\n2\n3\n")
    with faulty_server(system.url) as proxy, Crivo(proxy.url) as client:
        proxy.faults = [Lost(forwarded=True)]
        queued = client.batches.submit(double, tmp_path / "in.ndjson")
        client.batches.wait(queued.id)
        # Within the second line.
        proxy.faults = [Lost(forwarded=True, after_bytes=150)]
        results = [each.json() for each in client.batches.results(queued.id)]
        executions = list(client.executions.list(script=double))

    assert results == [2, 4, 6]
    assert len(executions) == 3


def test_a_file_is_run_line_by_line(crivo: CrivoCommand, double: str) -> None:
    (crivo.home / "in.ndjson").write_bytes(b"1\nnull\n-1\n{oops\n")
    (crivo.home / "in.json").write_bytes(b"[4,5]")

    done = crivo("batch", double, "in.ndjson")
    lines = [json.loads(line) for line in done.out.splitlines()]
    array = crivo("batch", double, "in.json")
    piped = crivo("batch", double, "-", stdin=b"6\n7")

    assert [(each["line"], each.get("result")) for each in lines] == [
        (1, 2),
        (2, 0),
        (3, None),
        (4, None),
    ]
    assert done.code == ExitCode.FAILED
    shown = done.err.splitlines()
    assert shown[0] == f"in.ndjson:3: {double}@1:1:40: error: Error: negative [script_error]"
    assert any(each.startswith("in.ndjson:4: error: ") for each in shown)
    assert shown[-1].startswith("crivo: 2 of 4 inputs without a result; `crivo batches results ")
    assert (array.code, array.err) == (piped.code, piped.err) == (0, "")
    assert [json.loads(line)["result"] for line in array.out.splitlines()] == [8, 10]
    assert [json.loads(line)["result"] for line in piped.out.splitlines()] == [12, 14]


def test_a_batch_is_listed_shown_and_read_again(crivo: CrivoCommand, double: str) -> None:
    queued = json.loads(crivo("batch", double, "-", "--detach", "--json", stdin=b"1\n-1\n").out)
    crivo("batch", double, "-", stdin=b"1")
    identifier = queued["id"]

    results = crivo("batches", "results", identifier, "--status", "failed")
    listed = [line.split("\t") for line in crivo("batches", "list").text.splitlines()]

    assert [json.loads(line)["line"] for line in results.out.splitlines()] == [2]
    assert [row[1:3] for row in listed if row[0] == identifier] == [[f"{double}@1", "finished"]]
    assert "failed       1" in crivo("batches", "show", identifier).text
    assert json.loads(crivo("batches", "show", identifier, "--json").out)["items"] == 2
    executions = crivo("executions", "list", "--batch", identifier).text
    assert len(executions.splitlines()) == 2
    refused = crivo("batches", "cancel", identifier)
    assert (refused.code, "finished" in refused.err) == (ExitCode.REFUSED, True)
    missing = crivo("batches", "show", "no-id")
    assert (missing.code, "`crivo batches list`" in missing.err) == (ExitCode.REFUSED, True)


def test_a_terminal_shows_the_progress_of_a_batch(crivo: CrivoCommand, system: System) -> None:
    system.upload("endless-items", ENDLESS)
    (crivo.home / "in.ndjson").write_bytes(b"1\n2\n3\n")

    with crivo.terminal("batch", "endless-items", "in.ndjson", "--wall-ms", "60000") as terminal:
        terminal.until(lambda shown: b"0/3" in shown)
        terminal.interrupts()
        done = terminal.end()

    identifier = done.text.split("crivo: batch ")[1].split()[0]
    assert done.code == ExitCode.INTERRUPTED
    assert crivo("batches", "cancel", identifier).text == f"{identifier}  cancelled\n"
    left = crivo("batch", "endless-items", "in.ndjson", "--timeout", "0.1", "--wall-ms", "60000")
    assert left.code == ExitCode.STILL_RUNNING
    crivo("batches", "cancel", left.err.split()[2])
