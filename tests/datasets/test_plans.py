"""Statements find rows of large datasets by indexes, whatever else there is."""

from typing import Final
from uuid import UUID

import pytest

from app.datasets import catalog_store, commit_store, file_store, merge_store, retention
from app.db import Pool

_ID: Final = UUID(int=1)

# A statement, its arguments, and the conditions that an index answers.
_STATEMENTS: Final = [
    (file_store.SELECT_FILE, (_ID, _ID, 1, "a"), "path ="),
    (file_store.SELECT_FILE_PAGE, (_ID, _ID, 1, "a", 10), "path >"),
    (file_store.SELECT_FILE_PARTS, (_ID, _ID, 0, 5, 9, 10), "first_byte >="),
    (commit_store.INSERT_SNAPSHOT, (_ID, _ID, 1, "append"), "removed_in ="),
    (catalog_store.SELECT_ADDED_FILES, (_ID, _ID, 1, 1, 10), "added_in >="),
    (catalog_store.SELECT_REMOVED_FILES, (_ID, _ID, 1, _ID, 1, 10), "removed_in >="),
    (catalog_store.SELECT_ADDED_PARTS, (_ID, _ID, 1, 10), "sequence >="),
    (catalog_store.SELECT_PART_SEGMENTS, (_ID, _ID, 1, 10), "sequence <"),
    (merge_store.SELECT_PART_INDEXES, (_ID, _ID, 10), "dataset_id ="),
    (merge_store.SELECT_LIVE_RANGES, (_ID, _ID, 1, 9), "sequence >="),
    (retention.LOCK_EXPIRED_UPLOADS, (10,), "expires_at <"),
]


@pytest.mark.parametrize(("statement", "arguments", "condition"), _STATEMENTS)
async def test_an_index_answers_a_condition(
    pool: Pool, statement: str, arguments: tuple[object, ...], condition: str
) -> None:
    async with pool.acquire() as conn, conn.transaction():
        # Pages that other tests have left would count in the plans.
        await conn.execute("TRUNCATE datasets CASCADE")
        # The tables are empty: reading all of them would be faster.
        await conn.execute("SET LOCAL enable_seqscan = off")
        # A plan for any arguments, as pooled connections come to use.
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        rows = await conn.fetch(f"EXPLAIN (COSTS OFF) {statement}", *arguments)

    conditions = [row[0] for row in rows if "Index Cond" in row[0]]
    assert any(condition in each for each in conditions), [row[0] for row in rows]
