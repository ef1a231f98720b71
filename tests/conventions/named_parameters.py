"""Read from a statement's parse tree which names it gives to its parameters.

A parameter has a name where it is an argument in named notation (`name => $1`), a column of a
select list (`$1 AS name`, with casts or without) or the count of a LIMIT. In an INSERT whose SELECT
feeds the columns directly, the name must be that of the column.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pglast import parse_plpgsql
from pglast.parser import ParseError, parse_sql_json

MAX_POSITIONAL: Final = 6

Node = Mapping[str, Any]


def parameters(sql: str) -> dict[int, str | None]:
    """Map each parameter's number to its name; None: unnamed, or used in more than one place."""
    tree = json.loads(parse_sql_json(sql))
    used = [node["number"] for kind, node in _nodes(tree) if kind == "ParamRef"]
    names = dict(_names(tree))
    return {number: names.get(number) if used.count(number) == 1 else None for number in used}


def misplaced(sql: str) -> list[tuple[str, str]]:
    """List the columns of an INSERT that take a parameter of another name."""
    pairs = []
    for kind, node in _nodes(json.loads(parse_sql_json(sql))):
        if kind != "InsertStmt":
            continue
        columns = [each["ResTarget"]["name"] for each in node.get("cols", ())]
        selected = node.get("selectStmt", {}).get("SelectStmt", {}).get("targetList", ())
        for column, target in zip(columns, selected, strict=False):
            name = target["ResTarget"].get("name", column)
            if _number(target["ResTarget"]["val"]) is not None and name != column:
                pairs.append((column, name))
    return pairs


def calls(sql: str) -> Iterator[tuple[str, int, bool]]:
    """Yield name, number of arguments and whether all are named, for each call of a function."""
    for kind, node in _nodes(json.loads(parse_sql_json(sql))):
        if kind == "FuncCall" or (kind == "funccall" and "funcname" in node):
            arguments = node.get("args", ())
            named = all("NamedArgExpr" in each for each in arguments)
            yield node["funcname"][-1]["String"]["sval"], len(arguments), named


def body_calls(create: str) -> Iterator[tuple[str, int, bool]]:
    """Yield the same for the body of a function in SQL or PL/pgSQL."""
    options = {
        node["defname"]: node["arg"]
        for kind, node in _nodes(json.loads(parse_sql_json(create)))
        if kind == "DefElem"
    }
    if options["language"]["String"]["sval"] == "sql":
        yield from calls(options["as"]["List"]["items"][0]["String"]["sval"])
        return
    for query in _queries(parse_plpgsql(create)):
        # An assignment or an expression: not a statement by itself.
        expression = query.split(":=", 1)[-1]
        try:
            yield from calls(query)
        except ParseError:
            yield from calls(f"SELECT {expression}")


def _names(tree: object) -> Iterator[tuple[int, str]]:
    for kind, node in _nodes(tree):
        place, name = {
            "NamedArgExpr": ("arg", "name"),
            "ResTarget": ("val", "name"),
            "SelectStmt": ("limitCount", ""),
        }.get(kind, ("", ""))
        number = _number(node.get(place))
        if number is not None and (kind == "SelectStmt" or name in node):
            yield number, node.get(name, "limit")


def _number(node: Node | None) -> int | None:
    """Return the number of a parameter, seen through its casts."""
    while node is not None and "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    number: int | None = (node or {}).get("ParamRef", {}).get("number")
    return number


def _nodes(tree: object) -> Iterator[tuple[str, Node]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if isinstance(value, dict):
                yield key, value
            yield from _nodes(value)
    elif isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)


def _queries(tree: object) -> Iterator[str]:
    for _, node in _nodes(tree):
        if isinstance(node.get("query"), str):
            yield node["query"]
