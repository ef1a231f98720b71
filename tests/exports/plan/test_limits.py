"""How many columns and partitions an export has at most."""

from pathlib import Path

import pytest

from app.exports.plan.layout import MAX_COLUMNS
from app.exports.plan.model import Grain, PartitionColumn, Plan, TaskFailed
from app.limits import MAX_EXPORT_PARTITIONS
from tests.exports.plan.tasks import Folder, whole


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _wide(first: int, members: int) -> bytes:
    return b"{%s}" % b",".join(b'"m%d":%d' % (first + n, n) for n in range(members))


def test_as_many_columns_as_are_promised_fit_into_memory(folder: Folder) -> None:
    result = folder.run(whole(folder.source([_wide(0, MAX_COLUMNS)])), Plan(key=["/m7"]))
    assert [row for _, row in result.rows] == [{f"m{n}": n for n in range(MAX_COLUMNS)}]


def test_more_partitions_than_are_written_are_refused(folder: Folder) -> None:
    lines = [b'{"p":%d,"v":0}' % n for n in range(MAX_EXPORT_PARTITIONS + 1)]
    levels = [PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")]
    with pytest.raises(TaskFailed, match="10001 partitions") as caught:
        folder.run(whole(folder.source(lines)), Plan(partition_by=levels))
    assert caught.value.kind == "too_many_partitions"
    assert caught.value.details == {"partitions": 10_001, "max_partitions": 10_000}
