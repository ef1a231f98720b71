"""Delete files, bad rows and exports by age, and what ended exports have left.

Statements here serve all tenants: age alone decides.
"""

from collections.abc import Sequence
from typing import Final

from app.db import Connection, from_row
from app.exports.attempt import EXPORT_FOLDER
from app.payloads.model import ExpiredBatch, Expiry, PayloadOwner
from app.progress.expiry import deleted, due

# Each may have very many files.
_EXPORTS_AT_ONCE: Final = 10

# An export that is continued by one that has not ended is kept with its files.
_CONTINUED = """
SELECT
FROM exports AS c
WHERE c.tenant_id = e.tenant_id AND c.dataset_id = e.dataset_id AND c.base_id = e.id
  AND c.finished_at IS NULL
"""

# All files of an export at once: none is listed whose files are there in part.
DELETE_FILES = f"""
WITH due AS MATERIALIZED (
    SELECT e.id
    FROM exports AS e
    WHERE e.finished_at < now() - make_interval(days => $1)
      AND e.destination IS NULL AND e.status = 'succeeded' AND e.files_deleted_at IS NULL
      AND NOT EXISTS ({_CONTINUED})
    ORDER BY e.finished_at
    LIMIT least($2, {_EXPORTS_AT_ONCE})
    FOR NO KEY UPDATE OF e SKIP LOCKED
),
marked AS (
    UPDATE exports AS e
    SET files_deleted_at = clock_timestamp()
    FROM due
    WHERE e.id = due.id
),
deleted AS (
    DELETE FROM export_files AS f
    USING due
    WHERE f.export_id = due.id
    RETURNING f.blob_key
)
SELECT (SELECT count(*) FROM due) AS items,
       (SELECT count(*) FROM deleted) AS rows,
       ARRAY(SELECT blob_key FROM deleted WHERE blob_key IS NOT NULL) AS blob_keys
"""  # noqa: S608 - put together from constants


async def delete_files(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Delete the files that are kept here of some exports that ended `days` ago."""
    return from_row(ExpiredBatch, *await conn.fetch(DELETE_FILES, days, limit))


DELETE_ERRORS = f"""
WITH due AS MATERIALIZED (
    SELECT e.id
    FROM exports AS e
    WHERE e.finished_at < now() - make_interval(days => $1)
      AND e.rows_failed > 0 AND e.errors_deleted_at IS NULL
    ORDER BY e.finished_at
    LIMIT least($2, {_EXPORTS_AT_ONCE})
    FOR NO KEY UPDATE OF e SKIP LOCKED
),
marked AS (
    UPDATE exports AS e
    SET errors_deleted_at = clock_timestamp()
    FROM due
    WHERE e.id = due.id
),
deleted AS (
    DELETE FROM export_errors AS b
    USING due
    WHERE b.export_id = due.id
    RETURNING b.export_id
)
SELECT (SELECT count(*) FROM due) AS items,
       (SELECT count(*) FROM deleted) AS rows,
       ARRAY[]::text[] AS blob_keys
"""  # noqa: S608 - put together from constants


async def delete_errors(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Delete the bad rows of some exports that ended `days` ago."""
    return from_row(ExpiredBatch, *await conn.fetch(DELETE_ERRORS, days, limit))


DELETE_EXPORTS = f"""
WITH {due("exports", "e", subject="export", unless=_CONTINUED, at_once=_EXPORTS_AT_ONCE)},
files AS (
    DELETE FROM export_files AS f
    USING due
    WHERE f.export_id = due.id
    RETURNING f.blob_key
),
{deleted("exports", "e")}
SELECT (SELECT count(*) FROM deleted) AS items,
       (SELECT count(*) FROM deleted) + (SELECT count(*) FROM files) AS rows,
       ARRAY(SELECT blob_key FROM files WHERE blob_key IS NOT NULL) AS blob_keys
"""  # noqa: S608 - put together from constants


async def delete_exports(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Delete some exports that ended `days` ago, with files, bad rows and tasks."""
    return from_row(ExpiredBatch, *await conn.fetch(DELETE_EXPORTS, days, limit))


# A task can take longer to upload its files than orphans are kept: their rows are added at its end.
SELECT_REFERENCED_KEYS = """
SELECT k.blob_key
FROM unnest($1::text[]) AS k (blob_key)
WHERE EXISTS (
          SELECT
          FROM export_files AS f
          WHERE f.blob_key = k.blob_key
      )
   OR EXISTS (
          SELECT
          FROM exports AS e
          WHERE e.id = left(split_part(k.blob_key, '/', 3), 36)::uuid AND e.finished_at IS NULL
      )
"""


async def select_referenced_keys(conn: Connection, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that a row references, or may yet: those of unfinished exports."""
    return {row["blob_key"] for row in await conn.fetch(SELECT_REFERENCED_KEYS, keys)}


EXPORT_OWNER: Final = PayloadOwner(
    name="exports",
    folders=frozenset({EXPORT_FOLDER}),
    select_referenced_keys=select_referenced_keys,
    expiries=(
        Expiry(
            days=lambda settings: settings.keep_export_files_days,
            expire_batch=delete_files,
            event="retention.export_files_deleted",
        ),
        Expiry(
            days=lambda settings: settings.keep_payloads_days,
            expire_batch=delete_errors,
            event="retention.bad_rows_deleted",
        ),
        Expiry(
            days=lambda settings: settings.keep_receipts_days,
            expire_batch=delete_exports,
            event="retention.exports_deleted",
        ),
    ),
)
