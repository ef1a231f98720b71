"""The files of an export, and the lines that it reads."""

from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace

from app.datasets.parts.frames import FrameWriter
from app.exports.plan import rest
from app.exports.plan.model import (
    ExportColumn,
    Grain,
    OnBadRow,
    PartitionColumn,
    Plan,
    SourceFile,
    TaskFailed,
)
from app.schemas.ddl.types import Field, Kind, Scalar, StructOf
from tests.exports.plan.tasks import Folder, Result, whole


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _metadata(result: Result, number: int, values: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        query = f"SELECT {values} FROM parquet_metadata(?)"  # noqa: S608 - constants
        return connection.execute(query, [result.held[number].local]).fetchall()


def test_a_file_is_sorted_and_has_a_bloom_filter_of_its_key(folder: Folder) -> None:
    lines = [b'{"k":"%05d","t":"2021-01-14T%02d:00:00Z"}' % (n, (n * 7) % 24) for n in range(3_000)]
    result = folder.run(whole(folder.source(lines)), Plan(key=["/k"], latest_by="/t"))
    moments = [row["t"] for _, row in result.rows]
    assert moments == sorted(moments)
    stored = _metadata(result, 0, "path_in_schema, bloom_filter_offset IS NOT NULL, stats_min")
    assert ("k", True, "00000") in stored
    assert ("t", True, "2021-01-14T00:00:00Z") in stored


def test_a_file_that_cannot_be_written_ends_the_writing_of_others(folder: Folder) -> None:
    lines = [b'{"p":"%03d","v":1}' % n for n in range(300)]
    levels = [PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")]
    output = folder.path / "out"
    output.mkdir()
    (output / "p=000").write_bytes(b"in the way")
    with pytest.raises(FileExistsError):
        folder.run(whole(folder.source(lines)), Plan(partition_by=levels), output=output)
    assert len(list(output.iterdir())) < 100


def test_of_bad_rows_a_beginning_is_kept_and_no_more_than_a_sum(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "MAX_EXPORT_BAD_ROWS_BYTES", 8_000)
    line = b'{"v":{"%s":1}}' % (b"a" * 5_000)
    struct = StructOf((Field("a" * 5_000, Scalar(Kind.BOOLEAN), ""),))
    plan = Plan(
        columns=[ExportColumn(name="v", pointer="/v", type=struct)],
        on_bad_row=OnBadRow.DEAD_LETTER,
        max_bad_rows=9,
    )
    report = folder.run(whole(folder.source([line] * 9)), plan).report
    assert [len(each.record) for each in report.bad] == [1_024, 1_024, 0, 0, 0]
    assert {len(each.pointer) for each in report.bad} == {1_001}
    # The others are counted.
    assert report.bad_rows == 9


def test_a_large_partition_has_several_files_and_a_small_one_has_one(folder: Folder) -> None:
    lines = [b'{"p":%d,"v":"%s"}' % (n % 1_000 == 0, b"%064x" % (n**9)) for n in range(20_000)]
    levels = [PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")]
    plan = Plan(partition_by=levels, file_bytes=100_000)
    result = folder.run(whole(folder.source(lines)), plan)
    assert {file.name.partition("/")[0] for file in result.report.files} == {"p=0", "p=1"}
    small, *large = sorted(result.report.files, key=lambda file: file.rows)
    assert small.rows == 20
    assert len(large) > 2
    assert all(50_000 < file.size_bytes < 200_000 for file in large)
    assert [row["v"] for _, row in result.rows if _[0] == "0"] == [
        f"{n**9:064x}" for n in range(20_000) if n % 1_000
    ]


def test_stored_parts_are_read_to_their_last_frame(folder: Folder) -> None:
    writer = FrameWriter()
    blocks = (b'{"n":1}\n\n{"n":2}\r\n', b'{"n":"\\ud800"}\n', b'{"n":3}\n{}\n')
    stored = [writer.compress(block, lines=block.count(b"\n")) for block in blocks]
    (folder.path / "part").write_bytes(b"".join((*stored, writer.tables())))
    part = SourceFile(local=str(folder.path / "part"), path="a.jsonl", first_line=100)
    plain = folder.source([b'{"n":4}', b"[]"], "b.jsonl")
    plan = Plan(on_bad_row=OnBadRow.DEAD_LETTER, max_bad_rows=2)
    result = folder.run(whole(part, plain, part), replace(plan, max_bad_rows=3))
    assert [row["n"] for _, row in result.rows] == [1, 2, 3, None, 4, 1, 2, 3, None]
    assert [(bad.path, bad.line) for bad in result.report.bad] == [
        ("a.jsonl", 103),
        ("b.jsonl", 1),
        ("a.jsonl", 103),
    ]
    with pytest.raises(TaskFailed, match=r"more than 2 bad rows; the first is a[.]jsonl, line 103"):
        folder.run(whole(part, plain, part), plan)


def test_a_bad_row_fails_with_its_place(folder: Folder) -> None:
    lines = [b'{"k":"a"}', b"", b'{"k":null}', b'{"k":[]}']
    with pytest.raises(
        TaskFailed, match=r"lines[.]jsonl, line 2, /k: is missing or null"
    ) as caught:
        folder.run(whole(folder.source(lines)), Plan(key=["/k"]))
    assert caught.value.kind == "bad_row"
    assert caught.value.details == {
        "path": "lines.jsonl",
        "line": 2,
        "pointer": "/k",
        "reason": "bad_key",
    }


@pytest.mark.parametrize(
    ("line", "levels"),
    [
        (b'{"a":1,"A":2}', []),
        (b'{"":1}', []),
        (b'{"year":1,"t":"2021"}', [PartitionColumn(name="Year", grain=Grain.YEAR, pointer="/t")]),
    ],
)
def test_names_that_no_table_can_have_ask_for_columns(
    folder: Folder, line: bytes, levels: list[PartitionColumn]
) -> None:
    with pytest.raises(TaskFailed) as caught:
        folder.run(whole(folder.source([line])), Plan(partition_by=levels))
    assert caught.value.kind == "columns_differ"


def test_a_pointer_names_elements_and_members_by_what_is_there(folder: Folder) -> None:
    lines = [b'{"a":[{"b~/":7}]}', b'{"a":{"0":{"b~/":8}}}', b'{"a":[]}', b'{"a":"text"}']
    plan = Plan(columns=[ExportColumn(name="v", pointer="/a/0/b~0~1")])
    result = folder.run(whole(folder.source(lines)), plan)
    assert [row["v"] for _, row in result.rows] == [7, 8, None, None]


def test_no_lines_are_no_files(folder: Folder) -> None:
    result = folder.run(whole(folder.source([b"", b" "])), Plan(key=["/k"]))
    assert (result.report.rows_in, result.report.files) == (0, [])
