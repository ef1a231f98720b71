"""`POST /exports` plans what is asked for by the schema, and refuses what cannot be."""

from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
import uuid_utils.compat as uuid

from app.errors import InvalidRequest
from app.exports.plan.model import JSON_TEXT, Column, ExportColumn, Grain, PartitionColumn, Plan
from app.exports.plans import hash_of, plan_of
from app.exports.requests import ColumnChoice, CreateExport
from app.exports.task_inputs import PartRange, WholeInput
from app.limits import (
    MAX_CONTINUED_EXPORT_BYTES,
    MAX_WHOLE_EXPORT_BYTES,
)
from app.schemas.ddl.types import Field, Kind, ListOf, Scalar, StructOf
from tests.exports.exported_datasets import LINE, create, plan_in, put_dataset, put_file, row_of
from tests.exports.stored_exports import StoredExport, StoredFile, store
from tests.support.system import System

SCHEMA: Final = {
    "type": "object",
    "properties": {
        "event_id": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "event_type": {"type": "string"},
        "data": {"type": "object"},
        "user": {"type": "object", "properties": {"id": {"type": "integer"}}},
    },
}


def test_an_export_is_planned_from_the_request_and_the_schema(system: System) -> None:
    schema = f"event-{uuid4()}"[:40]
    assert system.client.put(f"/schemas/{schema}", json={"schema": SCHEMA}).is_success
    name = put_dataset(system, schema=schema)
    wanted = {
        "deduplicate": {"key": "/event_id", "latest_by": "/timestamp"},
        "partition_by": [{"year": "/timestamp"}, {"kind": "/data/kind"}, "/event_type"],
        "labels": {"of": "plan"},
    }
    headers = {"Idempotency-Key": str(uuid4())}

    accepted = create(system, f"{name}@2", **wanted, headers=headers)
    repeated = create(system, f"{name}@2", **wanted, headers=headers)

    assert accepted.status_code == 202, accepted.text
    location = accepted.headers["Location"]
    assert location == accepted.json()["url"] == repeated.headers["Location"]
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert plan_in(system, location) == Plan(
        key=["/event_id"],
        latest_by="/timestamp",
        partition_by=[
            PartitionColumn(name="year", grain=Grain.YEAR, pointer="/timestamp"),
            PartitionColumn(name="kind", grain=Grain.VALUE, pointer="/data/kind"),
            PartitionColumn(name="event_type", grain=Grain.VALUE, pointer="/event_type"),
        ],
        columns=plan_in(system, location).columns,
        max_bad_rows=1_000,
    )
    columns = {each.name: each for each in plan_in(system, location).columns}
    # A value that is in the folders is not in the files.
    assert list(columns) == ["event_id", "timestamp", "data", "user"]
    assert columns["data"] == ExportColumn(
        name="data", pointer="/data", type=JSON_TEXT, source="schema"
    )
    assert isinstance(columns["user"].type, StructOf)
    shown = system.client.get(location).json()
    assert shown["input"] == {"dataset": name, "snapshot": 2}
    assert (shown["labels"], shown["request"]["dataset"]) == ({"of": "plan"}, f"{name}@2")
    assert shown["progress"]["bytes"] == 2 * len(LINE)
    task = row_of(system, location, "SELECT stage, input FROM export_tasks WHERE export_id = $1")
    ranges = msgspec.json.decode(task["input"], type=WholeInput).ranges
    assert (task["stage"], [each.path for each in ranges]) == ("whole", ["a.jsonl", "b/c.jsonl"])
    assert isinstance(ranges[0], PartRange)
    assert (ranges[0].first_part, ranges[0].last_part, ranges[0].first_line) == (1, 1, 0)


def test_a_choice_of_columns_has_types_of_its_own_or_of_the_schema(system: System) -> None:
    schema = f"event-{uuid4()}"[:40]
    assert system.client.put(f"/schemas/{schema}", json={"schema": SCHEMA}).is_success
    name = put_dataset(system, schema=schema)

    location = create(
        system,
        name,
        columns={
            "id": "/event_id",
            "user": {"pointer": "/user", "type": "json"},
            "who": {"pointer": "/user", "type": "struct"},
            "user_id": "/user/id",
            "amount": {"pointer": "/data/amount", "type": "decimal(10,2)"},
            "kind": "/data/kind",
        },
    ).headers["Location"]

    types = {each.name: (each.type, each.source) for each in plan_in(system, location).columns}
    assert types["id"] == (Scalar(Kind.STRING), "schema")
    assert types["user"] == (JSON_TEXT, "request")
    assert isinstance(types["who"][0], StructOf)
    assert isinstance(types["user_id"][0], Scalar)
    assert types["user_id"][0].kind is Kind.BIGINT
    assert types["amount"] == (Scalar(Kind.DECIMAL, (10, 2)), "request")
    assert types["kind"] == (None, "inferred")


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"deduplicate": {"key": "/a~2"}}, "/deduplicate/key"),
        ({"deduplicate": {"key": ["/a", "/a"]}}, "/deduplicate/key"),
        ({"deduplicate": {"key": "/a", "latest_by": "/b\u0001"}}, "/deduplicate/latest_by"),
        ({"partition_by": [{"year": "/t"}, {"YEAR": "/u"}]}, "/partition_by/1"),
        ({"partition_by": [{}]}, "/partition_by/0"),
        ({"partition_by": [{"yeer": "/t"}]}, "/partition_by/0"),
        (
            {
                "partition_by": [{"when": "/t"}],
                "deduplicate": {"key": "/a", "latest_by": "/t"},
            },
            "/partition_by/0",
        ),
        ({"replace": True}, "/replace"),
        ({"columns": {"a": {"type": "bigint"}}}, "/columns/a/pointer"),
        ({"partition_by": ["/event-type"]}, "/partition_by/0"),
        ({"partition_by": ["/a"] * 9}, "/partition_by"),
        ({"columns": {}}, "/columns"),
        ({"columns": {"a": "/a", "A": "/b"}}, "/columns"),
        ({"columns": {"year": "/a"}, "partition_by": [{"year": "/t"}]}, "/columns"),
        ({"columns": {"a": {"pointer": "/a", "type": "text"}}}, "/columns/a/type"),
        ({"columns": {"a": {"pointer": "/a", "type": "decimal(39,2)"}}}, "/columns/a/type"),
        ({"columns": {"a": {"pointer": "/a", "type": "struct"}}}, "/columns/a/type"),
        ({"columns": {"a\u0007": "/a"}}, "/columns/a\u0007"),
        ({"to": "s3://somewhere/else"}, "/to"),
        ({"since": 9}, "/since"),
        ({"script": "normalise@2", "since": 1}, "/since"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_its_place(
    system: System, wanted: dict[str, Any], pointer: str
) -> None:
    refused = create(system, put_dataset(system), **wanted)

    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == pointer


def test_an_export_needs_a_snapshot_of_records(system: System) -> None:
    text = put_dataset(system, format="text")
    empty = f"empty-{uuid4()}"
    assert system.client.put(f"/datasets/{empty}", json={}).is_success

    assert create(system, text).json()["errors"][0]["pointer"] == "/dataset"
    for name in (empty, "nowhere"):
        missing = create(system, name)
        assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (404, "/dataset")


@pytest.mark.parametrize("names", [("Id", "id"), ("",)])
def test_a_struct_with_names_that_no_reader_takes_is_refused(names: tuple[str, ...]) -> None:
    struct = StructOf(tuple(Field(name, Scalar(Kind.BIGINT), "") for name in names))
    fields = [Field("a/b", StructOf((Field("c", ListOf(struct), ""),)), "")]
    with pytest.raises(InvalidRequest) as caught:
        plan_of(CreateExport(dataset="d"), fields, None)
    [error] = caught.value.errors
    assert error["pointer"] == "/columns/a~1b"
    as_json = CreateExport(dataset="d", columns={"a/b": ColumnChoice(pointer="/a~1b", type="json")})
    assert plan_of(as_json, fields, None).columns


def test_an_export_continues_one_whose_input_was_only_appended_to(system: System) -> None:
    name = put_dataset(system)
    dataset_id = UUID(system.client.get(f"/datasets/{name}").json()["id"])
    plan = plan_of(CreateExport(dataset=name), (), None)
    base = StoredExport(
        id=uuid.uuid7(),
        dataset_id=dataset_id,
        dataset=name,
        snapshot=2,
        plan=plan,
        plan_sha256=hash_of(plan, None),
        files=[StoredFile(name="a.parquet")],
    )
    assert create(system, name, since=2).json()["type"] == "urn:crivo:problem:cannot-continue"
    store(system, base)
    put_file(system, name, "new.jsonl")

    choices = {"deduplicate": {"key": "/event_id"}, "columns": {"a": "/a"}, "max_bad_rows": 3}
    other = create(system, name, since=2, **choices)
    continued = create(system, name, since=2)

    assert other.status_code == 409
    assert other.json()["detail"].endswith(
        f"the latest, {base.id}, differs in `deduplicate/key` (none there), `max_bad_rows` (1000"
        " there), `columns` (all members there); omit `since` to export everything"
    )
    location = continued.headers["Location"]
    row = row_of(system, location, "SELECT base_id, raw_bytes FROM exports WHERE id = $1")
    assert (row["base_id"], row["raw_bytes"]) == (base.id, len(LINE))
    task = row_of(system, location, "SELECT input FROM export_tasks WHERE export_id = $1")
    [part] = msgspec.json.decode(task["input"], type=WholeInput).ranges
    assert part.path == "new.jsonl"
    # What a script has made of the snapshot is no base.
    row_of(
        system,
        str(base.id),
        "UPDATE exports SET script_id = id, script_version = 1 WHERE id = $1 RETURNING 1",
    )
    scripted = create(system, name, since=2)
    assert scripted.status_code == 409
    assert "differs in `script` (one there)" in scripted.json()["detail"]
    row_of(
        system,
        str(base.id),
        "UPDATE exports SET script_id = NULL, script_version = NULL WHERE id = $1 RETURNING 1",
    )
    # As it was, so it is not read again.
    put_file(system, name, "a.jsonl")
    same = create(system, name, since=2)
    assert same.status_code == 202, same.text
    sql = "SELECT input FROM export_tasks WHERE export_id = $1"
    assert row_of(system, same.headers["Location"], sql)["input"] == task["input"]
    system.client.put(f"/datasets/{name}/files/a.jsonl", content=2 * LINE)
    replaced = create(system, name, since=2)
    assert replaced.status_code == 409
    assert (
        f"{name}@5 does not keep all files of {name}@2: a.jsonl has other content"
        in (replaced.json()["detail"])
    )


@pytest.mark.parametrize(
    ("of_key", "of_order", "refused"),
    [
        (Kind.UUID, Kind.TIMESTAMP, None),
        (Kind.CHAR, Kind.DECIMAL, None),
        (Kind.DOUBLE, Kind.BIGINT, "/event_id"),
        (None, Kind.BIGINT, "/event_id"),
        (Kind.BIGINT, Kind.BOOLEAN, "/timestamp"),
        (Kind.BIGINT, None, "/timestamp"),
    ],
)
def test_an_export_is_continued_if_its_columns_say_what_keys_and_orders_are(
    system: System, of_key: Kind | None, of_order: Kind | None, refused: str | None
) -> None:
    name = put_dataset(system)
    wanted = {"deduplicate": {"key": "/event_id", "latest_by": "/timestamp"}}
    plan = plan_of(msgspec.convert({"dataset": name, **wanted}, CreateExport), (), None)
    types = {"event_id": of_key, "timestamp": of_order}
    base = StoredExport(
        id=uuid.uuid7(),
        dataset_id=UUID(system.client.get(f"/datasets/{name}").json()["id"]),
        dataset=name,
        snapshot=2,
        plan=plan,
        plan_sha256=hash_of(plan, None),
        files=[StoredFile(name="a.parquet")],
        columns=[Column(name=n, type=Scalar(of), source="schema") for n, of in types.items() if of],
    )
    store(system, base)

    continued = create(system, name, since=2, **wanted)

    if refused is None:
        assert continued.status_code == 202, continued.text
    else:
        assert continued.status_code == 409
        detail = continued.json()["detail"]
        assert detail.startswith(f"/since: {refused} is not a column of")
        assert "can never be continued; add it to `columns`; " in detail
        assert continued.json()["errors"][0]["pointer"] == "/since"


def test_an_export_that_is_too_large_for_one_task_is_not_continued(system: System) -> None:
    name = put_dataset(system)
    plan = plan_of(CreateExport(dataset=name), (), None)
    base = StoredExport(
        id=uuid.uuid7(),
        dataset_id=UUID(system.client.get(f"/datasets/{name}").json()["id"]),
        dataset=name,
        snapshot=2,
        plan=plan,
        plan_sha256=hash_of(plan, None),
        files=[StoredFile(name="a.parquet")],
    )
    store(system, base)
    put_file(system, name, "new.jsonl")
    of_new = "file_id IN (SELECT id FROM dataset_files WHERE dataset_id = $1 AND added_in > 2)"
    for raw_bytes, bytes_, said in (
        (MAX_WHOLE_EXPORT_BYTES + 1, 4, "are added"),
        (MAX_WHOLE_EXPORT_BYTES, MAX_CONTINUED_EXPORT_BYTES + 1, "are continued"),
        (MAX_WHOLE_EXPORT_BYTES, MAX_CONTINUED_EXPORT_BYTES, None),
    ):
        new = f"UPDATE dataset_parts SET raw_bytes = {raw_bytes} WHERE {of_new} RETURNING 1"  # noqa: S608 - constants
        row_of(system, str(base.dataset_id), new)
        old = f"UPDATE exports SET bytes = {bytes_} WHERE id = $1 RETURNING 1"  # noqa: S608 - constants
        row_of(system, str(base.id), old)
        answer = create(system, name, since=2)
        assert answer.status_code == (409 if said else 202), answer.text
        assert said is None or said in answer.json()["detail"]


def test_an_unfinished_export_keeps_its_snapshot_but_not_its_dataset(system: System) -> None:
    name = put_dataset(system)
    dataset_id = UUID(system.client.get(f"/datasets/{name}").json()["id"])
    reader = StoredExport(
        id=uuid.uuid7(), status="running", dataset_id=dataset_id, dataset=name, snapshot=1
    )
    store(system, reader)

    kept = system.client.delete(f"/datasets/{name}/snapshots/1")

    assert kept.json()["type"] == "urn:crivo:problem:read-by-export"
    assert kept.json()["export"] == str(reader.id)
    assert system.client.delete(f"/datasets/{name}").status_code == 204
    assert system.client.post(f"/exports/{reader.id}/cancel").is_success


def test_a_tenant_has_a_limited_number_of_exports_that_have_not_ended(system: System) -> None:
    name = put_dataset(system)
    reader = StoredExport(id=uuid.uuid7(), status="running")
    store(system, reader)

    with system.another_api(CRIVO_MAX_ACTIVE_EXPORTS="1") as url:
        refused = httpx.post(f"{url}/exports", json={"dataset": name}, trust_env=False)

    assert refused.status_code == 429
    assert refused.json()["quota"] == "active-exports"
    assert system.client.post(f"/exports/{reader.id}/cancel").is_success


def test_a_tenant_without_room_for_one_file_cannot_export(system: System) -> None:
    name = put_dataset(system)

    # Other tests' files are deleted meanwhile, so that nothing closer to what is stored holds.
    with system.another_api(CRIVO_DEFAULT_MAX_STORED_BYTES="1") as url:
        refused = httpx.post(f"{url}/exports", json={"dataset": name}, trust_env=False)

    assert refused.status_code == 429, refused.text
    assert refused.json()["quota"] == "stored-bytes"
