"""Runs over datasets from the library and from the command line, in pipes and in a terminal."""

import json
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from crivo import (
    AsyncCrivo,
    Crivo,
    InvalidRequest,
    NotFinished,
    NotFound,
    Retry,
    Run,
    RunCancelled,
    RunFailed,
)
from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import FaultyServer, Lost
from tests.support.system import System

SUM_EVEN: Final = """\
function start() { return 0n }
function step(sum, lines) {
  for (const line of lines) { const n = BigInt(line); if (n % 2n === 0n) sum += n }
  return sum
}
function merge(a, b) { return a + b }
function finish(sum) { return String(sum) }
"""
CLEAN: Final = """\
function map(record) {
  if (record.score < 0) throw new RangeError('below zero')
  return record.score ? {pk: record.pk, score: record.score} : null
}
"""
ENDLESS: Final = """\
function start() { for (;;) {} }
function step(state, _) { return state }
function finish(state) { return state }
"""
NUMBERS: Final = b"1\n2\n9007199254740992\n4\n"
# Beyond what a double holds.
SUM: Final = b'"9007199254740998"'
SCORES: Final = b'{"pk":"a","score":1}\n{"pk":"b","score":-1}\n{"pk":"c","score":0}\n'


def named(prefix: str) -> str:
    return f"{prefix}-{uuid4().hex[:8]}"


@pytest.fixture
def sum_even(client: Crivo) -> str:
    return client.scripts.push(named("sum-even"), SUM_EVEN).script.name


@pytest.fixture
def clean(client: Crivo) -> str:
    return client.scripts.push(named("clean"), CLEAN).script.name


@pytest.fixture
def endless(client: Crivo) -> str:
    return client.scripts.push(named("endless"), ENDLESS).script.name


@pytest.fixture
def numbers(client: Crivo, tmp_path: Path) -> str:
    (tmp_path / "numbers.txt").write_bytes(NUMBERS)
    return sent(client, tmp_path / "numbers.txt", format_="text")


@pytest.fixture
def scores(client: Crivo, tmp_path: Path) -> str:
    (tmp_path / "scores.jsonl").write_bytes(SCORES)
    return sent(client, tmp_path / "scores.jsonl", format_="jsonl")


def sent(client: Crivo, file: Path, *, format_: str) -> str:
    state = file.parent / "state"
    return client.datasets.send(file, named("in"), format=format_, state_folder=state).dataset


def test_a_fold_is_waited_for_with_its_progress_and_read(
    client: Crivo, sum_even: str, numbers: str, tmp_path: Path
) -> None:
    shown: list[Run] = []
    options = {"of": numbers}
    queued = client.runs.submit(sum_even, f"{numbers}@1", format="lines", labels=options)
    result = client.runs.result(queued.id, on_progress=shown.append)
    run = client.runs.show(queued.id)

    assert (result.content, result.json()) == (SUM, "9007199254740998")
    assert client.runs.save_result(queued.id, tmp_path / "result") == len(SUM)
    assert (tmp_path / "result").read_bytes() == SUM
    assert shown[-1].is_final
    progress = run.progress
    assert (progress.parts_done, progress.parts, progress.rows_in) == (1, 1, 4)
    assert progress.bytes_done == progress.bytes == len(NUMBERS)
    assert run.receipt is not None
    assert (str(run.receipt.input), run.receipt.output) == (f"{numbers}@1", None)
    assert [each.id for each in client.runs.list(labels=options)] == [queued.id]
    [part] = client.executions.list(run=queued.id)
    assert part.run is not None
    assert (part.run.task, part.run.part, part.run.level) == ("fold", 1, 0)
    assert [each.id for each in client.runs.list(dataset=numbers, status="failed")] == []
    assert [each.status for each in client.runs.watch(queued.id)][-1] == "succeeded"
    with pytest.raises(InvalidRequest):
        client.runs.submit(sum_even, numbers, output="clean")
    with pytest.raises(ValueError, match="output="):
        client.runs.submit(sum_even, numbers, key="/pk")


async def test_a_map_publishes_and_names_the_records_that_failed(
    client: Crivo, system: System, clean: str, scores: str
) -> None:
    output = named("out")
    run = client.runs.run(clean, scores, output=output, key="/pk", on_error="dead_letter")
    [failed] = client.runs.errors(run.id, excerpt=True)

    assert str(run.published) == f"{output}@1"
    assert run.output is not None
    assert (run.output.key, run.output.mode) == ("/pk", "replace")
    assert client.datasets.record(output, "a").json() == {"pk": "a", "score": 1}
    assert list(client.datasets.lines(output)) == [b'{"pk":"a","score":1}']
    assert (failed.place, failed.task) == ("scores.jsonl:2", "map")
    assert (failed.error.name, failed.error.message) == ("RangeError", "below zero")
    assert failed.excerpt == '{"pk":"b","score":-1}'
    assert [each.excerpt for each in client.runs.errors(run.id)] == [None]
    with pytest.raises(NotFound):
        client.runs.result(run.id)
    async with AsyncCrivo(system.url) as asynchronous:
        repeated = await asynchronous.runs.replay(run.id)
        compared = await asynchronous.runs.wait(repeated.id)
        failures = [each.line async for each in asynchronous.runs.errors(repeated.id)]
    assert compared.replay is not None
    assert (compared.replay_of, compared.replay.identical) == (run.id, True)
    assert (compared.published, failures) == (None, [2])


def test_a_failure_names_its_place_in_the_script_and_in_the_input(
    client: Crivo, clean: str, scores: str
) -> None:
    with pytest.raises(RunFailed) as failure:
        client.runs.run(clean, scores, output=named("out"))

    error = failure.value
    assert (error.kind, error.line, error.path, error.input_line) == (
        "script_error",
        2,
        "scores.jsonl",
        2,
    )
    assert str(error).startswith("scores.jsonl:2: script_error: RangeError: below zero (2:")


def test_a_lost_response_starts_one_run_and_a_wait_that_ends_leaves_it(
    faulty: FaultyServer, client: Crivo, endless: str, numbers: str
) -> None:
    with Crivo(faulty.url, retry=Retry(first_pause=0.01)) as unlucky:
        faulty.faults = [Lost(forwarded=True)]
        queued = unlucky.runs.submit(endless, numbers, format="lines", wall_ms=60_000)

    assert [each.id for each in client.runs.list(script=endless)] == [queued.id]
    with pytest.raises(NotFinished, match="0 of 1 parts"):
        client.runs.wait(queued.id, timeout=0.1)
    assert client.runs.cancel(queued.id).status == "cancelled"
    with pytest.raises(RunCancelled):
        client.runs.result(queued.id)


def test_a_file_is_sent_and_folded(crivo: CrivoCommand, client: Crivo, sum_even: str) -> None:
    name = named("Numbers of")
    (crivo.home / f"{name}.txt").write_bytes(NUMBERS)
    (crivo.home / "other.log").write_bytes(b"2\n")
    dataset = name.lower().replace(" ", "-")

    done = crivo("run", sum_even, "--file", f"{name}.txt")
    again = crivo("run", sum_even, "--dataset", f"{dataset}@1", "--json")
    other = crivo("run", sum_even, "--file", "other.log", "--dataset", dataset)
    (crivo.home / "other").write_bytes(b"2\n")
    unknown = crivo("run", sum_even, "--file", "other")

    assert (done.code, done.out) == (0, SUM), done.err
    last = done.err.splitlines()[-1]
    assert " succeeded: 1/1 parts, 23 bytes of 23 bytes, 4 rows in" in last
    found = json.loads(again.out)
    assert (found["input"], found["format"]) == ({"dataset": dataset, "snapshot": 1}, "lines")
    assert again.err == ""
    # Nothing was sent: the run would have read the other file, too.
    assert (other.code, "has other files" in other.err) == (ExitCode.USAGE, True)
    assert client.datasets.show(f"{dataset}@1").latest_snapshot is not None
    assert (unknown.code, "add --format" in unknown.err) == (ExitCode.USAGE, True)
    assert crivo("runs", "result", found["id"]).out == SUM
    listed = [line.split("\t") for line in crivo("runs", "list").text.splitlines()]
    assert [row[1:4] for row in listed if row[0] == found["id"]] == [
        [f"{sum_even}@1", f"{dataset}@1", "succeeded"]
    ]
    refused = crivo("runs", "cancel", found["id"])
    assert (refused.code, "`crivo runs show " in refused.err) == (ExitCode.REFUSED, True)
    for command in ("watch", "logs"):
        mistaken = crivo(command, found["id"])
        assert mistaken.code == ExitCode.REFUSED
        assert f"`crivo runs result {found['id']}` follows it" in mistaken.err
    missing = crivo("runs", "show", "no-id")
    assert (missing.code, "`crivo runs list`" in missing.err) == (ExitCode.REFUSED, True)


def test_a_mapping_prints_its_snapshot_and_its_failed_records(
    crivo: CrivoCommand, clean: str, scores: str
) -> None:
    output = named("out")
    command = ("run", clean, "--dataset", scores, "--output", output, "--key", "/pk")

    done = crivo(*command, "--on-error", "dead_letter", "--errors")
    failed = crivo(*command, "--mode", "append")
    runs = crivo("runs", "list", "--script", clean).text.splitlines()
    identifier = runs[-1].split("\t")[0]

    assert (done.code, done.out) == (0, f"{output}@1\n".encode()), done.err
    assert done.err.splitlines()[-4].startswith(
        f"scores.jsonl:2: {clean}@1:2:31: error: RangeError: below zero [script_error]"
    )
    assert done.err.splitlines()[-1] == '  {"pk":"b","score":-1}'
    assert (failed.code, failed.out) == (ExitCode.FAILED, b"")
    assert f"scores.jsonl:2: {clean}@1:2:31: error: RangeError" in failed.err
    assert failed.err.splitlines()[-1].startswith("crivo: run ")
    errors = crivo("runs", "errors", identifier).text
    assert errors == 'scores.jsonl\t2\tscript_error\tbelow zero\t{"pk":"b","score":-1}\n'
    assert f"published    {output}@1\n" in crivo("runs", "show", identifier).text
    replayed = crivo("runs", "replay", identifier)
    assert (replayed.code, replayed.text.split()[-1]) == (0, "identical")


def test_a_terminal_shows_a_run_and_ctrl_c_leaves_it(
    crivo: CrivoCommand, endless: str, numbers: str
) -> None:
    command = ("run", endless, "--dataset", numbers, "--wall-ms", "60000")

    with crivo.terminal(*command) as terminal:
        terminal.until(lambda shown: b"0/1 parts" in shown)
        terminal.interrupts()
        done = terminal.end()
    detached = crivo(*command, "--detach").text.strip()

    identifier = done.text.split("crivo: run ")[1].split()[0]
    assert done.code == ExitCode.INTERRUPTED
    assert f"run {identifier} goes on" in done.text
    for each in (identifier, detached):
        assert crivo("runs", "cancel", each).text == f"{each}  cancelled\n"
    ended = crivo("runs", "result", detached)
    assert (ended.code, "was cancelled" in ended.err) == (ExitCode.FAILED, True)
