"""How many columns and partitions an export has at most."""

from pathlib import Path

import pytest

from app.exports.plan.layout import MAX_COLUMNS
from app.exports.plan.model import Plan
from tests.exports.plan.tasks import Folder, whole


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _wide(first: int, members: int) -> bytes:
    return b"{%s}" % b",".join(b'"m%d":%d' % (first + n, n) for n in range(members))


def test_as_many_columns_as_are_promised_fit_into_memory(folder: Folder) -> None:
    result = folder.run(whole(folder.source([_wide(0, MAX_COLUMNS)])), Plan(key=["/m7"]))
    assert [row for _, row in result.rows] == [{f"m{n}": n for n in range(MAX_COLUMNS)}]
