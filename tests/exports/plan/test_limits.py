"""An export has a bounded number of columns and partitions."""

import tracemalloc
from pathlib import Path

import msgspec
import pytest

from app.exports.plan.columns import UnitedColumns
from app.exports.plan.model import (
    BucketTask,
    Column,
    Grain,
    MapTask,
    OnBadRow,
    PartitionColumn,
    Plan,
    SeenKind,
    TaskFailed,
    ValuePlace,
)
from app.limits import MAX_EXPORT_COLUMNS, MAX_EXPORT_PARTITIONS
from app.schemas.ddl.types import Kind, Scalar
from tests.exports.plan.tasks import Folder, whole


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _wide(first: int, members: int) -> bytes:
    return b"{%s}" % b",".join(b'"m%d":%d' % (first + n, n) for n in range(members))


def test_as_many_columns_as_are_promised_fit_into_memory(folder: Folder) -> None:
    result = folder.run(whole(folder.source([_wide(0, MAX_EXPORT_COLUMNS)])), Plan(key=["/m7"]))
    assert [row for _, row in result.rows] == [{f"m{n}": n for n in range(MAX_EXPORT_COLUMNS)}]


def test_more_partitions_than_are_written_are_refused(folder: Folder) -> None:
    lines = [b'{"p":%d,"v":0}' % n for n in range(MAX_EXPORT_PARTITIONS + 1)]
    levels = [PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")]
    with pytest.raises(TaskFailed, match="10001 partitions") as caught:
        folder.run(whole(folder.source(lines)), Plan(partition_by=levels))
    assert caught.value.kind == "too_many_partitions"
    assert caught.value.details == {"partitions": 10_001, "max_partitions": 10_000}


@pytest.mark.parametrize("staged", [False, True])
def test_folders_that_no_key_has_room_for_are_refused_before_a_file_is_written(
    folder: Folder, *, staged: bool
) -> None:
    lines = [b'{"p":"%s","v":0}' % (b"/" * n) for n in range(1, 41)]
    levels = [PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")]
    longest = len("p=") + 40 * len("%2F")
    source, output = folder.source(lines), folder.path / "out"
    output.mkdir()

    def run(max_folder_bytes: int) -> int:
        plan = Plan(partition_by=levels, max_folder_bytes=max_folder_bytes)
        if not staged:
            return len(folder.run(whole(source), plan, output=output).held)
        mapped = folder.run(MapTask(sources=[source], number=0, buckets=1), plan)
        task = BucketTask(held=mapped.held, bucket=0)
        return len(folder.run(task, plan, output=output).report.partitions)

    with pytest.raises(TaskFailed, match=r"the key of a file in p=%2F.* 1024 bytes") as caught:
        run(longest - 1)
    assert caught.value.kind == "destination_refused"
    assert list(output.iterdir()) == []
    assert run(longest) == 40


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([_wide(n * 600, 600) for n in range(3)], "more than 1000 members: name columns"),
        # The sample ends at a line that DuckDB cannot parse.
        (
            [_wide(0, 1), b"[", _wide(1, 600), _wide(601, 600)],
            "more than 1000 members: name columns",
        ),
        ([b'{"%s":1}' % (b"n" * 600_000)], "more than 512000 bytes: name columns"),
    ],
)
def test_more_names_than_a_table_has_are_refused_once_they_are_seen(
    folder: Folder, lines: list[bytes], message: str
) -> None:
    plan = Plan(on_bad_row=OnBadRow.DEAD_LETTER, max_bad_rows=1)
    with pytest.raises(TaskFailed, match=message) as caught:
        folder.run(whole(folder.source(lines)), plan)
    assert caught.value.kind == "columns_differ"


def _of_task(number: int, first: int = 0) -> list[Column]:
    """Return the columns of a map task, as they are read from its row."""
    seen = SeenKind(kind=1, at=ValuePlace(path=f"{number}.jsonl", line=number))
    columns = [
        Column(name=f"m{n}", type=Scalar(Kind.BIGINT), source="inferred", kinds=[seen])
        for n in range(first, first + MAX_EXPORT_COLUMNS)
    ]
    return msgspec.json.decode(msgspec.json.encode(columns), type=list[Column])


def test_columns_of_many_tasks_take_the_memory_of_those_of_one() -> None:
    united = UnitedColumns()
    tracemalloc.start()
    try:
        united.add(_of_task(0))
        one, _ = tracemalloc.get_traced_memory()
        for number in range(1, 9):
            united.add(_of_task(number))
        nine, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert nine < 2 * one
    with pytest.raises(TaskFailed, match="more than 1000 members: name columns"):
        united.add(_of_task(9, first=1))
