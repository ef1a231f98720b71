"""Texts are ordered by their bytes, whatever the locale of the database."""

import re
from typing import Final

import pytest

from app.db import Pool
from tests.conventions.statements import statements

# Closed sets of words in lower case: no locale orders them otherwise.
_WORDS: Final = frozenset({"payloads.kind", "run_parts.task", "export_tasks.stage"})
_ORDER: Final = re.compile(r"ORDER BY (.*?)(?=\bLIMIT\b|\bFOR\b|\)|\Z)", re.DOTALL)
_EXTREME: Final = re.compile(r"\b(?:min|max)\(([\w.]+)\)")
_COLUMN: Final = re.compile(r"(?:\w+\.)?(\w+)(?: DESC)?")
ORDERED: Final = {name: text for name, text in statements().items() if "ORDER BY" in text}

SELECT_TEXTS = """
SELECT c.relname AS table, a.attname AS column
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r'
JOIN pg_collation AS l ON l.oid = a.attcollation
WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND l.collname <> 'C'
"""


def _ordered_columns(text: str) -> set[str]:
    orders = _ORDER.findall(_EXTREME.sub(r"\1", text))
    items = [item.strip() for order in orders for item in order.split(",")]
    return {found[1] for item in items if (found := _COLUMN.fullmatch(item))}


async def test_texts_are_ordered_by_their_bytes(pool: Pool) -> None:
    texts = [(row["table"], row["column"]) for row in await pool.fetch(SELECT_TEXTS)]
    assert ("exports", "dataset") in texts
    by_locale = {
        f"{table}.{column} in {name}"
        for name, text in ORDERED.items()
        for table, column in texts
        if column in _ordered_columns(text) and re.search(rf"\b(FROM|JOIN) {table}\b", text)
    }
    assert {each for each in by_locale if each.split()[0] not in _WORDS} == set()


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("SELECT a FROM t ORDER BY min(t.a) DESC, b\nLIMIT $1", {"a", "b"}),
        ('SELECT array_agg(x ORDER BY x) FROM t ORDER BY a COLLATE "C"', {"x"}),
    ],
)
def test_columns_of_an_order_are_found(text: str, columns: set[str]) -> None:
    assert _ordered_columns(text) == columns
