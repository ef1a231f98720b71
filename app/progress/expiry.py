"""Write the SQL that deletes rows of what ended long ago, a batch at a time."""

from typing import Final

# What a statement returns whose CTE `deleted` has its rows, none of which has a blob.
COUNTED: Final = """\
    (SELECT count(*) FROM deleted) AS items,
    (SELECT count(*) FROM deleted) AS rows,
    ARRAY[]::text[] AS blob_keys"""


def due(
    table: str, alias: str, *, subject: str, unless: str | None = None, at_once: int | None = None
) -> str:
    """Write the CTE `due`: ids of up to $2 rows, locked, that ended more than $1 days ago.

    `at_once` is an upper bound of $2. A row is kept that the query `unless` finds something about.
    So is one whose callback is still tried, because the message is about it: `subject` says what
    it is. Four days longer at most: callbacks of a suspended tenant wait, and would be read again
    and again.
    """
    condition = "" if unless is None else f"AND NOT EXISTS ({unless})"
    limit = "$2" if at_once is None else f"least($2, {at_once})"
    return f"""\
due AS MATERIALIZED (
    SELECT {alias}.id
    FROM {table} AS {alias}
    WHERE {alias}.finished_at < now() - make_interval(days => $1)
      {condition}
      AND (
          {alias}.callback_url IS NULL
          OR {alias}.finished_at < now() - make_interval(days => $1 + 4)
          OR (
              SELECT c.status
              FROM callbacks AS c
              WHERE c.tenant_id = {alias}.tenant_id
                AND c.subject = '{subject}' AND c.subject_id = {alias}.id
          ) IS DISTINCT FROM 'pending'
      )
    ORDER BY {alias}.finished_at, {alias}.id
    LIMIT {limit}
    FOR UPDATE OF {alias} SKIP LOCKED
)"""  # noqa: S608 - put together from constants


def deleted(table: str, alias: str) -> str:
    """Write the CTE `deleted`: the ids of the rows that were due."""
    return f"""\
deleted AS (
    DELETE FROM {table} AS {alias}
    USING due
    WHERE {alias}.id = due.id
    RETURNING {alias}.id
)"""  # noqa: S608 - put together from constants
