"""Find the tenants' tables that a statement reads or writes without pinning them to a tenant.

PostgreSQL's own parser reads the statement, so comments, aliases and nesting cannot hide a table. A
table is pinned when each of its rows that takes part must have a `tenant_id` equal to a parameter,
or to the `tenant_id` of something pinned. The condition must stand in WHERE or in the ON of an
inner join, joined to others by AND only; the ON of a left join pins its right side only. An INSERT
takes `tenant_id` from a parameter or from something pinned.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from pglast.parser import parse_sql_json

Node = Mapping[str, Any]

_STATEMENTS: Final = ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt")


class _Equal(Struct, frozen=True):
    """`left.tenant_id = right.tenant_id`; without `right`, a parameter."""

    left: str
    right: str | None


def unpinned(sql: str, tables: Collection[str]) -> list[str]:
    """Return the aliases of the tenants' tables in `sql` that are not pinned to a tenant."""
    found: list[str] = []
    for raw in json.loads(parse_sql_json(sql))["stmts"]:
        [(kind, statement)] = raw["stmt"].items()
        found += _check(kind, statement, frozenset(tables), frozenset())
    return found


def _check(kind: str, statement: Node, tables: frozenset[str], pinned: frozenset[str]) -> list[str]:
    """Check a statement and all that it nests; `pinned` holds what is pinned around it."""
    if kind not in _STATEMENTS:
        return [kind]
    problems: list[str] = []
    # A CTE hides a table of its name. It is pinned when its query is.
    for part in statement.get("withClause", {}).get("ctes", ()):
        cte = part["CommonTableExpr"]
        [(inner, query)] = cte["ctequery"].items()
        wrong = _check(inner, query, tables, pinned)
        problems += wrong
        tables -= {cte["ctename"]}
        pinned -= {cte["ctename"]}
        if not wrong and not _computes_tenant(query):
            pinned |= {cte["ctename"]}
    if "larg" in statement:
        sides = (statement["larg"], statement["rarg"])
        return problems + [
            each for side in sides for each in _check("SelectStmt", side, tables, pinned)
        ]
    sources = dict(_sources(kind, statement))
    ours = {alias for alias, table in sources.items() if table in tables}
    around = (pinned - set(sources)) | {
        alias for alias, table in sources.items() if table not in tables and table in pinned
    }
    known = _closed(around, _equalities(kind, statement, ours))
    target = statement.get("relation", {}).get("relname") if kind == "InsertStmt" else None
    if target in tables:
        problems += _check_insert(statement, target)
    problems += sorted(ours - known)
    for inner, query in _nested({k: v for k, v in statement.items() if k != "withClause"}):
        problems += _check(inner, query, tables, frozenset(known))
    return problems


def _computes_tenant(query: Node) -> bool:
    """Say whether a query's `tenant_id` is neither a parameter nor a column of that name."""
    targets = [each["ResTarget"] for each in query.get("targetList", ())]
    return any(
        not _is_parameter(target["val"]) and "ColumnRef" not in target["val"]
        for target in targets
        if target.get("name") == "tenant_id"
    )


def _closed(known: Collection[str], equal: list[_Equal]) -> set[str]:
    """Return the transitive closure of `known` over the equalities."""
    closed = set(known)
    while True:
        more = {each.left for each in equal if each.right is None or each.right in closed} - closed
        if not more:
            return closed
        closed |= more


def _sources(kind: str, statement: Node) -> Iterator[tuple[str, str]]:
    """Yield alias and name of each table of the statement itself, not of what it nests."""
    if kind in ("UpdateStmt", "DeleteStmt"):
        yield _named(statement["relation"])
    for clause in ("fromClause", "usingClause"):
        for item in statement.get(clause, ()):
            yield from _sources_of(item)


def _sources_of(item: Node) -> Iterator[tuple[str, str]]:
    [(kind, node)] = item.items()
    match kind:
        case "RangeVar":
            yield _named(node)
        case "JoinExpr":
            yield from _sources_of(node["larg"])
            yield from _sources_of(node["rarg"])
        case _:
            return


def _named(table: Node) -> tuple[str, str]:
    return table.get("alias", {}).get("aliasname", table["relname"]), table["relname"]


def _equalities(kind: str, statement: Node, ours: set[str]) -> list[_Equal]:
    if kind == "InsertStmt":
        return []
    found = list(_conditions(statement.get("whereClause"), ours))
    for clause in ("fromClause", "usingClause"):
        for item in statement.get(clause, ()):
            found += _of_joins(item, ours)
    return found


def _of_joins(item: Node, ours: set[str]) -> list[_Equal]:
    join = item.get("JoinExpr")
    if join is None:
        return []
    found = _of_joins(join["larg"], ours) + _of_joins(join["rarg"], ours)
    right = {alias for alias, _ in _sources_of(join["rarg"])}
    for each in _conditions(join.get("quals"), ours):
        if join["jointype"] == "JOIN_INNER" or (
            join["jointype"] == "JOIN_LEFT" and each.left in right
        ):
            found.append(each)
    return found


def _conditions(node: Node | None, ours: set[str]) -> Iterator[_Equal]:
    """Yield the equalities that must hold: those of a conjunction, not of OR or NOT."""
    if node is None:
        return
    conjunction = node.get("BoolExpr")
    if conjunction is not None and conjunction["boolop"] == "AND_EXPR":
        for each in conjunction["args"]:
            yield from _conditions(each, ours)
    comparison = node.get("A_Expr")
    if (
        comparison is not None
        and comparison["kind"] == "AEXPR_OP"
        and [part["String"]["sval"] for part in comparison["name"]] == ["="]
    ):
        left, right = comparison["lexpr"], comparison["rexpr"]
        for one, other in ((left, right), (right, left)):
            alias = _alias_of(one, ours)
            if alias is not None and _is_parameter(other):
                yield _Equal(alias, None)
            elif alias is not None and _alias_of(other, ours) is not None:
                yield _Equal(alias, _alias_of(other, ours))


def _alias_of(node: Node, ours: set[str]) -> str | None:
    """Return the alias of a `tenant_id` column; without one it is the only table's."""
    parts = node.get("ColumnRef", {}).get("fields", ())
    match [each.get("String", {}).get("sval") for each in parts]:
        case [str(alias), "tenant_id"]:
            return alias
        case ["tenant_id"] if len(ours) == 1:
            return next(iter(ours))
        case _:
            return None


def _is_parameter(node: Node) -> bool:
    cast = node.get("TypeCast")
    return "ParamRef" in node if cast is None else _is_parameter(cast["arg"])


def _check_insert(statement: Node, table: str) -> list[str]:
    columns = [each["ResTarget"]["name"] for each in statement.get("cols", ())]
    if "tenant_id" not in columns:
        return [table]
    position = columns.index("tenant_id")
    is_pinned = _gives_tenant(statement["selectStmt"]["SelectStmt"], position)
    conflict = statement.get("onConflictClause", {})
    if conflict.get("action") == "ONCONFLICT_UPDATE":
        alias, _ = _named(statement["relation"])
        updated = _closed({"excluded"}, list(_conditions(conflict.get("whereClause"), {alias})))
        is_pinned = is_pinned and alias in updated
    return [] if is_pinned else [table]


def _gives_tenant(query: Node, position: int) -> bool:
    if "larg" in query:  # a union
        return all(_gives_tenant(query[side], position) for side in ("larg", "rarg"))
    values = [row["List"]["items"][position] for row in query.get("valuesLists", ())]
    if not values:
        values = [query["targetList"][position]["ResTarget"]["val"]]
    # The sources of the query are checked by themselves: their `tenant_id` is pinned.
    sources = {alias for alias, _ in _sources("SelectStmt", query)}
    return all(_is_parameter(value) or _alias_of(value, sources) in sources for value in values)


def _nested(node: object) -> Iterator[tuple[str, Node]]:
    """Yield the statements directly within a node, not those within them."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in _STATEMENTS:
                yield key, value
            else:
                yield from _nested(value)
    elif isinstance(node, list):
        for each in node:
            yield from _nested(each)
