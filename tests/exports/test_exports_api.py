"""Exports over HTTP: show, list, follow, cancel, read files, bad rows, manifests and tables."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import duckdb
import httpx
import pytest

from app.exports.plan.hive import folder
from app.exports.plan.model import Column, Grain, PartitionColumn, Plan
from app.exports.retention import DELETE_FILES
from app.schemas.ddl.types import Kind, Scalar
from app.tenants.model import DEFAULT_TENANT
from tests.exports.stored_exports import StoredFile, execute, stored
from tests.support.system import System, until

JANUARY = StoredFile(
    name="year=2021/month=01/type=a%3Ab/0190-1.parquet",
    partition=["2021", "01", "a:b"],
    content=b"PAR1 january",
)
UNKNOWN = StoredFile(
    name="year=__HIVE_DEFAULT_PARTITION__/month=__HIVE_DEFAULT_PARTITION__/type=it's/0190-2.parquet",
    partition=[None, None, "it's"],
)
LEFT = StoredFile(name="year=2021/month=01/type=a%3Ab/0190-3.parquet", published=False)


def test_an_ended_export_shows_what_became_of_the_rows(system: System) -> None:
    address = stored(system, files=[JANUARY, UNKNOWN, LEFT])

    shown = system.client.get(address).json()

    assert (shown["status"], shown["rows_in"], shown["duplicates"]) == ("succeeded", 10, 3)
    assert (shown["rows_failed"], shown["rows_out"], shown["files"]) == (2, 6, 2)
    assert shown["input"] == {"dataset": "events", "snapshot": 4}
    assert shown["columns"] == [
        {"name": "event_id", "type": "string", "source": "schema", "json": False},
        {"name": "timestamp", "type": "timestamp", "source": "request", "json": False},
        {"name": "data", "type": "string", "source": "inferred", "json": True},
        {"name": "year", "type": "int", "source": "partition", "json": False},
        {"name": "month", "type": "int", "source": "partition", "json": False},
        {"name": "type", "type": "string", "source": "partition", "json": False},
    ]
    assert shown["partitions"][0] == {
        "path": "year=2021/month=01/type=a%3Ab",
        "rows": 3,
        "files": 1,
        "bytes": 12,
    }
    assert len(shown["partitions"]) == 2
    receipt = shown["receipt"]
    assert (receipt["engine"], receipt["tasks"], receipt["attempts"]) == ("local", 1, 1)
    listed = system.client.get("/exports", params={"dataset": "events@4", "limit": 200}).json()
    [own] = [each for each in listed["items"] if address.endswith(each["id"])]
    assert not {"columns", "partitions", "receipt"} & set(own)
    assert system.client.get("/exports", params={"dataset": "events@5"}).status_code == 404


def test_files_are_listed_by_path_and_downloaded_in_ranges(system: System) -> None:
    elsewhere = StoredFile(name="year=2022/b.parquet", content=None)
    address = stored(system, files=[UNKNOWN, JANUARY, LEFT, elsewhere])

    first = system.client.get(f"{address}/files", params={"limit": 2}).json()
    last = system.client.get(
        f"{address}/files", params={"limit": 2, "cursor": first["next_cursor"]}
    ).json()

    items = [*first["items"], *last["items"]]
    assert [each["path"] for each in items] == [JANUARY.name, elsewhere.name, UNKNOWN.name]
    assert (items[1]["url"], last["next_cursor"]) == (None, None)
    assert items[0]["partition"] == "year=2021/month=01/type=a%3Ab"
    whole = system.client.get(items[0]["url"])
    assert (whole.content, whole.headers["ETag"]) == (
        b"PAR1 january",
        f'"{items[0]["sha256"]}"',
    )
    assert whole.headers["Content-Type"] == "application/vnd.apache.parquet"
    part = system.client.get(items[0]["url"], headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"PAR1")
    etag = {"If-None-Match": whole.headers["ETag"]}
    assert system.client.get(items[0]["url"], headers=etag).status_code == 304
    assert system.client.get(items[2]["url"]).content == b"PAR1"
    for name in (LEFT.name, elsewhere.name, "nothing", "\0", "a\0b"):
        missing = system.client.get(f"{address}/files/{quote(name)}")
        assert missing.json()["type"] == "urn:crivo:problem:export-file-not-found"
    assert system.client.get(f"/exports/{uuid4()}/files/a").json()["type"] == (
        "urn:crivo:problem:export-not-found"
    )


def test_a_manifest_lists_all_published_files(system: System) -> None:
    address = stored(system, files=[UNKNOWN, JANUARY, LEFT])

    manifest = system.client.get(f"{address}/manifest").json()

    assert [each["path"] for each in manifest["files"]] == [JANUARY.name, UNKNOWN.name]
    assert (manifest["rows_in"], manifest["duplicates"], manifest["rows_out"]) == (10, 3, 6)
    assert manifest["partition_by"] == ["year", "month", "type"]
    shown = system.client.get(address).json()
    assert manifest["columns"] == shown["columns"]
    assert manifest["output_sha256"] == shown["receipt"]["output_sha256"]


def test_once_files_are_deleted_nothing_says_that_there_are_fewer(system: System) -> None:
    address = stored(system, files=[JANUARY, UNKNOWN])
    retained = stored(system, files=[JANUARY], destination="s3://lake/kept")
    execute(
        system,
        "UPDATE exports SET created_at = now() - interval '90 days', "
        "started_at = now() - interval '90 days', finished_at = now() - interval '80 days' "
        "WHERE id = ANY ($1)",
        [UUID(each.rpartition("/")[2]) for each in (address, retained)],
    )
    execute(system, DELETE_FILES, 30, 10)

    for path in (
        "manifest",
        "files",
        "ddl?dialect=duckdb&location=/x",
        f"files/{quote(JANUARY.name)}",
    ):
        answer = system.client.get(f"{address}/{path}")
        assert answer.status_code == 410
        assert answer.json()["type"] == "urn:crivo:problem:export-files-deleted"
        assert system.client.get(f"{retained}/{path}").status_code == 200
    shown = system.client.get(address).json()
    assert (shown["files"], "files_deleted_at" in shown, "partitions" in shown) == (2, True, False)


@pytest.mark.parametrize(
    ("status", "expected", "code"),
    [("running", 409, "export-not-finished"), ("failed", 404, "no-export-output")],
)
def test_only_a_succeeded_export_has_a_manifest_and_a_table(
    system: System, status: str, expected: int, code: str
) -> None:
    address = stored(system, status=status, files=[JANUARY])

    for path in ("manifest", "ddl?dialect=hive&location=s3://b/"):
        answer = system.client.get(f"{address}/{path}")
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (expected, code)


def test_a_table_of_hive_has_every_partition_with_its_place(system: System) -> None:
    address = stored(system, files=[JANUARY, UNKNOWN], destination="s3://lake/events")

    sql = system.client.get(f"{address}/ddl", params={"dialect": "athena", "name": "db.e"})

    assert sql.headers["Content-Type"].startswith("application/sql")
    create, *alters = sql.text.split(";\n")
    assert create.startswith(
        "-- Partitions left out, whose values are null or cannot be named safely: 1\n"
        "-- MSCK REPAIR TABLE `db`.`e` finds them by their folders\n"
        "CREATE EXTERNAL TABLE IF NOT EXISTS `db`.`e` (\n"
    )
    for line in (
        "  `timestamp` timestamp,",
        "  `data` string COMMENT 'JSON as text'",
        "PARTITIONED BY (`year` int, `month` int, `type` string)",
        "STORED AS PARQUET",
        "LOCATION 's3://lake/events/'",
    ):
        assert line in create.splitlines()
    [added] = (each.strip() for each in alters if each.strip())
    assert added == (
        "ALTER TABLE `db`.`e` ADD IF NOT EXISTS\n  PARTITION (`year` = 2021, `month` = 1, "
        "`type` = 'a:b') LOCATION 's3://lake/events/year=2021/month=01/type=a%3Ab/'"
    )


@pytest.mark.parametrize("dialect", ["athena", "hive"])
def test_a_value_that_cannot_stand_in_a_script_is_left_to_the_folders(
    system: System, dialect: str
) -> None:
    unsafe: list[str | None] = [
        "${env:PATH}",
        "a;b",
        "a--b",
        "/*",
        "a\0b",
        "a\nb",
        "a\u0085b",
        "it's",
        'a"',
        "a\\",
    ]
    # Hive refuses its folder's name as reserved.
    unsafe.append(None)
    safe = ["$", "{x}", "a-b", "é 😀"]
    level = PartitionColumn(name="P", grain=Grain.VALUE, pointer="/p")
    plan = Plan(key=["/event_id"], latest_by="/timestamp", partition_by=[level])
    files = [
        StoredFile(name=f"{folder('P', value)}/{number}.parquet", partition=[value])
        for number, value in enumerate([*unsafe, *safe])
    ]
    address = stored(system, files=files, plan=plan, destination="s3://lake/events")

    sql = system.client.get(f"{address}/ddl", params={"dialect": dialect}).text

    assert f"safely: {len(unsafe)}\n" in sql
    assert sorted(re.findall(r"PARTITION \(`p` = '(.*)'\)", sql)) == sorted(safe)
    assert sql.count("ALTER TABLE") == sql.count(";") - 1 == 1
    assert not re.search(r"\$\{|[\x00-\x09\x0b-\x1f\x85]", sql)


@pytest.mark.parametrize("dialect", ["athena", "hive", "duckdb"])
def test_an_export_without_columns_is_no_table(system: System, dialect: str) -> None:
    address = stored(system, columns=[], destination="s3://lake/events")

    refused = system.client.get(f"{address}/ddl", params={"dialect": dialect})

    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:crivo:problem:no-export-table"
    assert "has no columns" in refused.json()["detail"]


def test_advice_about_a_name_is_about_exports(system: System) -> None:
    column = Column(name="event-id", type=Scalar(Kind.STRING), source="schema")
    address = stored(system, columns=[column], destination="s3://lake/events")

    refused = system.client.get(f"{address}/ddl")

    assert refused.status_code == 422
    assert "letters, digits and underscores" in refused.json()["detail"]
    assert "format" not in refused.json()["detail"]


def test_tables_are_made_in_turns(system: System) -> None:
    address = stored(system, files=[JANUARY], destination="s3://lake/events")

    with ThreadPoolExecutor(40) as threads:
        answers: list[httpx.Response] = []
        # Each takes a moment only, so that a tenant may not have too many in hand at first.
        for _ in until("a request is refused"):
            answers = list(threads.map(system.client.get, [f"{address}/ddl"] * 40))
            if {answer.status_code for answer in answers} == {200, 429}:
                break
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["type"] == "urn:crivo:problem:too-many-checks"


def test_a_table_of_duckdb_reads_the_files_and_the_folders(system: System, tmp_path: Path) -> None:
    address = stored(system, files=[JANUARY])
    folder = tmp_path / "year=2021" / "month=01" / "type=a%3Ab"
    folder.mkdir(parents=True)
    with duckdb.connect() as conn:
        conn.execute(
            "COPY (SELECT 'e' AS event_id, TIMESTAMPTZ '2021-01-02 00:00:00+00' AS timestamp, "
            f"'{{}}' AS data) TO '{folder}/0190-1.parquet' (FORMAT parquet)"
        )
        sql = system.client.get(
            f"{address}/ddl", params={"dialect": "duckdb", "name": "e", "location": str(tmp_path)}
        )
        conn.execute(sql.text)
        assert conn.sql("SELECT event_id, data, year, month, type FROM e").fetchall() == [
            ("e", "{}", 2021, 1, "a:b")
        ]


def test_a_table_needs_a_place_and_a_name_that_is_safe(system: System) -> None:
    address = stored(system, files=[JANUARY])

    for more, parameter in (
        ({}, "location"),
        ({"location": "s3://b/'; DROP TABLE x"}, "location"),
        ({"location": "s3://b/", "name": "a`b"}, "name"),
    ):
        refused = system.client.get(f"{address}/ddl", params={"dialect": "hive", **more})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["parameter"] == parameter


def test_cancelling_wakes_those_who_wait_and_leaves_no_files(system: System) -> None:
    address = stored(system, status="running", files=[LEFT])
    export_id = UUID(address.rpartition("/")[2])
    blob = system.folder / "blobs" / str(DEFAULT_TENANT) / "exports" / f"{export_id}-1"
    assert blob.exists()

    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(system.client.get, address, params={"wait": 60})
        events = threads.submit(system.client.get, f"{address}/events")
        cancelled = system.client.post(f"{address}/cancel")

        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
        assert waiting.result().json()["status"] == "cancelled"
        last = events.result().text.strip().splitlines()[-1]
        assert json.loads(last.removeprefix("data: "))["status"] == "cancelled"
    assert not blob.exists()
    assert cancelled.json()["receipt"]["output_sha256"] is None
    assert system.client.post(f"{address}/cancel").json() == cancelled.json()
    again = system.client.get(f"{address}/events", headers={"Last-Event-ID": "10"})
    assert again.status_code == 204
    publishing = stored(system, status="running", destination="s3://lake/events")
    execute(
        system,
        "UPDATE exports SET publishing_at = now() WHERE id = $1",
        UUID(publishing.rpartition("/")[2]),
    )
    refused = system.client.post(f"{publishing}/cancel")
    assert refused.json()["type"] == "urn:crivo:problem:export-publishing"
    assert system.client.get(publishing).json()["status"] == "running"
    ended = system.client.post(f"{stored(system)}/cancel")
    assert ended.json()["type"] == "urn:crivo:problem:export-finished"
