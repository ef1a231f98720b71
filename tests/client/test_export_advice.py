"""Advice of the command line about an export's members, rows and columns."""

from typing import Any, Final

import pytest
from msgspec import json

from crivo import ExportFailed
from crivo.cli.export_errors import advising
from crivo.cli.export_fields import Fields
from crivo.cli.export_warnings import reason_of_emptiness, warnings_of_columns
from crivo.export_models import Export

ID: Final = "01a1fbeb-e349-7359-851e-28a65d1b7be4"
BY_ID: Final = {"key": "/id", "latest_by": "/at"}


def export(request: dict[str, Any], **members: object) -> Export:
    progress = {"stage": "publish", "tasks": 1, "tasks_done": 1, "bytes": 9, "bytes_done": 9}
    counts = ("rows_in", "duplicates", "rows_failed", "rows_dropped", "script_rows_failed")
    absent = ("since", "started_at", "finished_at", "rows_out", "files", "bytes", "trouble")
    document: dict[str, object] = {
        **dict.fromkeys(counts, 0),
        **dict.fromkeys((*absent, "trouble_since")),
        "id": ID,
        "status": "succeeded",
        "input": {"dataset": "events", "snapshot": 4},
        "request": request,
        "labels": {},
        "created_at": "2021-02-01T00:00:00Z",
        "progress": progress,
        "errors_url": "/errors",
        "files_url": "/files",
        **members,
    }
    return json.decode(json.encode(document), type=Export)


def column(name: str, type_: str = "string", **members: object) -> dict[str, object]:
    return {"name": name, "type": type_, "source": "inferred", "json": False, **members}


def warnings(request: dict[str, Any], *columns: dict[str, object]) -> list[str]:
    return list(warnings_of_columns(export(request, rows_out=2, columns=list(columns))))


def failure(request: dict[str, Any], **error: object) -> ExportFailed:
    return ExportFailed(export(request, status="failed", error=error))


def advice(error: ExportFailed, *, mistyped: tuple[str, ...] = ()) -> str:
    with pytest.raises(ExportFailed) as raised, advising(mistyped=mistyped):
        raise error
    return str(raised.value)


def test_pointers_that_the_first_record_lacks_are_doubted() -> None:
    fields = Fields(b'{"event_id":1,"data":{"ids":[{"a/b":null}]},"at":"x"}')

    fields.members("--dedupe", "/eventid,/data/ids/0/a~1b")
    fields.levels("day,/data/idd,kind=/data/ids/1", "/at")
    fields.columns(["later=/later"])

    assert list(fields.lacking.values()) == [
        "--dedupe: the first record has no /eventid, but event_id, data, at",
        "--partition: the first record has no /data/idd, but ids",
        "--partition: the first record has no /data/ids/1, but event_id, data, at",
    ]
    unseen = Fields(None)
    unseen.pointer("--latest", "/at")
    assert not unseen.lacking


def test_bad_rows_are_only_to_be_left_out_where_the_pointer_may_be_right() -> None:
    error = {"kind": "bad_row", "message": "is missing or null", "pointer": "/at"}

    assert "--bad-rows" in advice(failure({}, **error))
    assert "--bad-rows" not in advice(failure({}, **error), mistyped=("/at",))


def test_a_key_of_two_kinds_cannot_be_continued() -> None:
    request = {"deduplicate": BY_ID}
    changed = {"kind": "columns_differ", "message": "'id' was string"}
    typed = {"kind": "columns_differ", "message": "/id: a text in the files of the earlier export"}
    at = {"path": "a.jsonl", "line": 7}

    said = warnings(request, column("id", mixed_at=at), column("x", json=True, mixed_at=at))

    assert ["cannot be continued" in each for each in said] == [True, False]
    assert all("--column" in each and "keeps strings as they are" in each for each in said)
    assert "one kind" in advice(failure(request, **changed, pointer="/id"))
    assert "one kind" in advice(failure(request, **typed))
    assert "one kind" not in advice(failure(request, **changed, pointer="/x"))


def test_the_first_of_too_many_bad_rows_is_named_once() -> None:
    place = {"path": "a.jsonl", "line": 2, "pointer": "/at"}
    message = "more than 1000 bad rows; the first is a.jsonl, line 2, /at: is missing or null"

    assert str(failure({}, kind="too_many_bad_rows", message=message, **place)) == (
        "a.jsonl:2: too_many_bad_rows: more than 1000 bad rows; the first: is missing or null (/at)"
    )


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"rows_in": 1, "rows_failed": 1}, "1 record, 1 could not be exported (`crivo exports er"),
        (
            {"rows_in": 9, "rows_dropped": 6, "rows_failed": 3, "script_rows_failed": 3},
            "the export has no row: of 9 records, the script dropped 6, the script failed at 3",
        ),
        ({"rows_in": 9, "rows_dropped": 8, "rows_out": 1}, None),
        ({"rows_in": 0, "rows_out": 0}, None),
    ],
)
def test_an_export_without_a_row_says_why(counts: dict[str, int], reason: str | None) -> None:
    found = reason_of_emptiness(export({}, **{"rows_out": 0, **counts}))

    assert found is None if reason is None else reason in (found or "")


def test_times_that_become_text_are_named() -> None:
    request = {"deduplicate": BY_ID, "partition_by": [{"day": "/on"}, {"kind": "/sort"}]}
    chosen = {"when": {"pointer": "/at", "type": "string"}, "on": "/on"}
    columns = [column("id"), column("at"), column("on", "timestamp"), column("sort")]

    assert warnings(request, *columns) == [
        (
            "at is a column of text; `--column at=/at:timestamp` makes it one of times, beside a "
            "--column for each of the others"
        )
    ]
    assert warnings(
        {**request, "columns": chosen}, column("when", source="request"), column("on")
    ) == ["on is a column of text; `--column on=/on:timestamp` makes it one of times"]


def test_names_that_no_table_of_hive_can_have_are_named() -> None:
    day = column("Tag im Monat", source="partition")

    said = warnings({}, column("Größe"), column("userId"), column("a-b"), column("a_1"), day)

    assert [each.split(":")[0].rpartition("named ")[2] for each in said] == [
        "Größe, a-b",
        "Tag im Monat",
    ]
    assert ["--partition NEW=/POINTER" in each for each in said] == [False, True]
