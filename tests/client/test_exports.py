"""A sample of events is sent, exported and queried, and is as its truth says."""

import json
from typing import Final
from uuid import uuid4

import pytest

from crivo import AsyncCrivo, Crivo, ExportFailed
from crivo.cli.exit_codes import ExitCode
from crivo.export_flows import require_success
from tests.support.crivo_command import CrivoCommand
from tests.support.system import System

BY_DAY_AND_TYPE: Final = (
    *("--dedupe", "event_id", "--latest", "timestamp", "--partition", "day,domain,type"),
    *("--column", "event_id", "--column", "timestamp:timestamp", "--column", "data:json"),
)


@pytest.fixture
def events(crivo: CrivoCommand) -> str:
    """A dataset with a sample."""
    name = f"events-{uuid4().hex[:8]}"
    crivo("sample", "events", "--count", "3000", "--days", "3", "--out", "sample")
    assert crivo("send", "sample/events", name, "--key", "/event_id").code == 0
    return name


def test_an_export_has_the_rows_of_the_truth(crivo: CrivoCommand, events: str) -> None:
    truth = json.loads((crivo.home / "sample" / "truth.json").read_text())

    done = crivo("export", events, "--to", "out", *BY_DAY_AND_TYPE)

    assert done.code == 0, done.err
    rows = {line.split("\t")[0]: int(line.split("\t")[1]) for line in done.text.splitlines()}
    assert rows == {
        f"year={each['year']}/month={each['month']:02}/day={each['day']:02}"
        f"/domain={each['domain']}/event_type={each['event_type']}": each["rows"]
        for each in truth["partitions"]
    }
    assert "3,000 rows in, 150 duplicates dropped, 2,850 rows out" in done.err
    assert (crivo.home / "out" / "_SUCCESS").exists()
    export = crivo("exports", "list", "--dataset", events).text.split("\t")[0]
    queried = crivo(
        "query",
        f'FROM "export/{export}" SELECT year, month, day, domain, event_type, count(*) AS rows, '
        f"({truth['digest_in_duckdb']})::VARCHAR AS digest GROUP BY ALL ORDER BY ALL",
        "--json",
    )
    found = [json.loads(line) for line in queried.text.splitlines()]
    assert found == sorted(truth["partitions"], key=lambda each: list(each.values()))


def test_an_export_is_found_cancelled_and_described(
    crivo: CrivoCommand, client: Crivo, events: str
) -> None:
    export = crivo("export", events, "--to", "out", *BY_DAY_AND_TYPE, "--detach").text.strip()

    assert crivo("exports", "download", export, "--to", "out").code == 0
    assert client.exports.show(export).status == "succeeded"
    assert [each.status for each in client.exports.watch(export)][-1] == "succeeded"
    assert {each.path for each in client.exports.files(export)} == {
        each.path for each in client.exports.manifest(export).files
    }
    table = crivo("exports", "ddl", export, "--dialect", "hive", "--location", "s3://b/e").text
    assert "CREATE EXTERNAL TABLE" in table
    assert "PARTITION" in table
    assert crivo("exports", "cancel", export).code == ExitCode.REFUSED


async def test_a_bad_row_fails_an_export_or_is_left_out(
    crivo: CrivoCommand, client: Crivo, system: System
) -> None:
    name = f"bad-{uuid4().hex[:8]}"
    lines = '{"id":1,"at":"2021-01-14T00:00:00Z"}\n{"id":2,"at":"x"}\n'
    (crivo.home / "bad.jsonl").write_text(lines)
    crivo("send", "bad.jsonl", name, "--key", "/id")
    arguments = ("export", name, "--to", "out", "--latest", "at", "--partition", "day")

    failed = crivo(*arguments)
    left_out = crivo(*arguments, "--bad-rows", "dead_letter")

    assert (failed.code, "bad.jsonl:2: bad_row: " in failed.err) == (ExitCode.FAILED, True)
    assert (failed.err.count("bad.jsonl"), "--bad-rows dead-letter" in failed.err) == (1, True)
    assert f"`crivo exports errors {next(client.exports.list(dataset=name)).id}`" in (left_out.err)
    assert left_out.text.split("\t")[:2] == ["year=2021/month=01/day=14", "1"]
    assert "crivo: at is a column of text" in left_out.err
    mistyped = ("export", name, "--to", "none", "--dedupe", "id", "--latest", "/att")
    nowhere = crivo(*mistyped)
    emptied = crivo(*mistyped, "--bad-rows", "dead_letter")
    for done in (nowhere, emptied):
        assert "--latest: the first record has no /att, but id, at" in done.err
    assert (nowhere.code, "--bad-rows" in nowhere.err) == (ExitCode.FAILED, False)
    assert (emptied.code, emptied.text) == (0, "")
    assert "the export has no row: of 2 records, 2 could not be exported" in emptied.err
    [_, _, second, first] = client.exports.list(dataset=name)
    with pytest.raises(ExportFailed):
        require_success(first)
    async with AsyncCrivo(system.url) as other:
        [row] = [each async for each in other.exports.errors(second.id, excerpt=True)]
    assert (row.path, row.line, row.error.pointer) == ("bad.jsonl", 2, "/at")
    assert row.excerpt == '{"id":2,"at":"x"}'


def test_an_export_says_what_it_has_done(crivo: CrivoCommand) -> None:
    name = f"said-{uuid4().hex[:8]}"
    folder = crivo.home / "said"
    folder.mkdir()
    (folder / "1.jsonl").write_text('{"id":1,"data":{"id":"x"}}\n{"id":2,"data":{"id":"y"}}\n')
    arguments = ("--to", "out", "--dedupe", "id", "--partition", "kind=id", "--column", "id")
    columns = ("--column", "wrong=/datum/id", "--column", "data:json", "--column", "data:json")
    crivo("send", "said", name, "--key", "/id")

    first = crivo("export", name, *arguments, *columns)
    (folder / "2.jsonl").write_text('{"id":2,"data":{"id":"z"}}\n')
    crivo("send", "said/2.jsonl", name, "--key", "/id")
    later = crivo("export", name, *arguments, *columns, "--since", "1")
    wrong = crivo("export", name, "--to", "other", "--column", "data:text")
    nowhere = crivo("export", name, "--to", "s3://bucket/events")
    no_location = crivo("exports", "ddl", crivo("exports", "list").text.split("\t")[0])

    assert "no row has a value for wrong; check --column" in first.err
    assert "key /id; latest the last in file order; levels kind=/id" in first.err
    assert "1 rows in since 1" in later.err
    assert "2 rows out in all (of them 1 in 1 new files of the 1 partitions that have" in later.err
    assert "changed, 1 kept)" in later.err
    assert "CRIVO_EXPORT_DESTINATIONS. `--to DIRECTORY` downloads the files" in nowhere.err
    assert "crivo: --column data: 'text' is not a type" in wrong.err
    assert "crivo: --location: is missing" in no_location.err
    shown = crivo("exports", "show", later.err.split("export ")[1].split()[0]).text
    assert "key          /id" in shown
    assert "levels       kind=/id" in shown


def test_what_one_odd_record_changes_is_said(crivo: CrivoCommand) -> None:
    name = f"odd-{uuid4().hex[:8]}"
    (crivo.home / "odd.jsonl").write_text(
        '{"id":"a","kind":"x","half":"h"}\n{"id":"b","kind":"y"}\n'
    )
    (crivo.home / "odder.jsonl").write_text('{"id":77,"kind":"z"}\n')
    arguments = ("--to", "odd", "--dedupe", "kind", "--partition", "sort=/knid,half")
    crivo("send", "odd.jsonl", name, "--key", "/kind")
    crivo("export", name, *arguments)
    crivo("send", "odder.jsonl", name, "--key", "/kind")

    other = crivo("export", name, *arguments, "--since", "1", "--bad-rows", "dead-letter")
    refused = crivo("export", name, *arguments, "--since", "1")
    done = crivo("export", name, *arguments)

    assert "differs in --bad-rows (fail there); omit --since" in other.err
    assert refused.code == ExitCode.FAILED
    assert "odder.jsonl:1: columns_differ: " in refused.err
    assert "'id' was string in the earlier export, and is an integer" in refused.err
    assert "id has values of several types, the first of another one in odder.jsonl, line 1" in (
        " ".join(done.err.split())
    )
    assert "no row has a value for sort; check --partition" in done.err
    assert "levels lack values: half (2 rows)" in done.err
    assert "partitioning=pyarrow.dataset.partitioning(flavor='hive')" in done.err
    path = [*(crivo.home / "odd").rglob("half=__HIVE_DEFAULT_PARTITION__")]
    assert len(path) == 1
    shown = crivo("exports", "show", done.err.split("export ")[-1].split()[0]).text
    assert "string (json, inferred, mixed since odder.jsonl, line 1)" in shown
