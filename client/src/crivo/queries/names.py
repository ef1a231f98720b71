"""Find the datasets and exports that SQL names, and where."""

import re
from collections.abc import Iterator
from typing import Any, Final

from crivo.queries.readers import as_identifier, as_text

_QUOTED: Final = r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
"""
# What DuckDB takes for an operator: `events@4`, and the id of an export after `export/`.
_BARE: Final = r"""
    (?<![\w@"'/.])
    (?P<bare> [A-Za-z0-9][\w.-]*@\w+ | export/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})
"""
_PIECES: Final = re.compile(f"{_QUOTED}|{_BARE}", re.VERBOSE | re.DOTALL)
_EXPORT: Final = "export/"


def quoted(sql: str) -> str:
    """Put quotes around references such as `events@4`, and around `export/<id>`."""
    return _PIECES.sub(lambda each: f'"{each["bare"]}"' if each["bare"] else each[0], sql)


def tables_in(tree: Any, defined: frozenset[str] = frozenset()) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Find the tables in the tree that DuckDB's json_serialize_sql returns.

    Left out are those of a schema, such as information_schema, and what WITH defines there.
    """
    if isinstance(tree, list):
        for each in tree:
            yield from tables_in(each, defined)
    if not isinstance(tree, dict):
        return
    if tree.get("type") == "RECURSIVE_CTE_NODE":
        defined |= {tree["cte_name"].lower()}
    if tree.get("type") == "BASE_TABLE" and not tree["schema_name"]:
        name = tree["table_name"]
        if name.lower() not in defined:
            yield name
    for entry in tree.get("cte_map", {}).get("map", ()):
        # Within its own definition, a name is that of a table.
        yield from tables_in(entry["value"], defined)
        defined |= {entry["key"].lower()}
    for key, value in tree.items():
        if key != "cte_map":
            yield from tables_in(value, defined)


def place_of(sql: str, name: str) -> str:
    """Return line and column of the first place that names a table."""
    for found in _places(sql, name):
        before = sql[:found]
        return f"{before.count(chr(10)) + 1}:{found - before.rfind(chr(10))}"
    return "1:1"


def export_of(name: str) -> str | None:
    """Return the id of the export that a name is of; None: it is a dataset's."""
    return name.removeprefix(_EXPORT) if name.startswith(_EXPORT) else None


def is_of_files(name: str) -> bool:
    """Whether a name is a path or a pattern, which no dataset is named like."""
    return "/" in name or "*" in name


def _places(sql: str, name: str) -> Iterator[int]:
    for found in _PIECES.finditer(sql):
        if found[0] in (name, as_identifier(name), as_text(name)):
            yield found.start()
    for found in re.finditer(rf"\b{re.escape(name)}\b", sql):
        yield found.start()
