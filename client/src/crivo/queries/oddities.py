"""Find the records that make columns other than the rest would be, by file and line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import DecodeError, json

from crivo.queries.readers import as_identifier

# A column for whole lines, if DuckDB finds no members that all have.
_WHOLE: Final = "json"
# What DuckDB calls a member whose name another one has in other case.
_RENAMED: Final = re.compile(r"(?P<member>.+)_[0-9]+", re.DOTALL)


def oddities(types: Mapping[str, str], files: Sequence[tuple[str, Path]]) -> Iterator[str]:
    """Say what is odd about the columns of lines of JSON; `types` are those that DuckDB found.

    Lines are read only where a column may be odd.
    """
    mixed = {name for name, type_ in types.items() if re.search(r"\bJSON\b", type_)}
    renamed = dict(_renamed(types))
    is_whole = types.keys() == {_WHOLE} and bool(mixed)
    kinds: dict[tuple[str, ...], str] = {}
    for place, value in _values(files) if mixed or renamed else ():
        if not isinstance(value, dict):
            yield f"{place} is no object: each line is the one column {_WHOLE}, as JSON"
            return
        for member in renamed.keys() & value.keys():
            yield (
                f"{member}, first in {place}, is read as {as_identifier(renamed.pop(member))}: "
                "another member has that name in other letter case"
            )
        for column in sorted(value.keys() if is_whole else mixed & value.keys()):
            for path, kind in _kinds(value[column], (column,)):
                earlier = kinds.setdefault(path, kind)
                if kind != earlier and column in mixed:
                    mixed.remove(column)
                    yield (
                        f"{'.'.join(path)} is read as JSON, strings in quotation marks, which "
                        f"->>'$' takes off: it is {kind} in {place}, and {earlier} before"
                    )
                    break
        if not (mixed or renamed):
            return
    if is_whole and _WHOLE in mixed and (_WHOLE,) not in kinds:
        yield f"records have too many different members: each line is the one column {_WHOLE}"


def _renamed(types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the members that columns may be of, and the columns' names."""
    lower = {name.lower() for name in types}
    for name in types:
        found = _RENAMED.fullmatch(name)
        if found and found["member"] not in types and found["member"].lower() in lower:
            yield found["member"], name


def _values(files: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, object]]:
    for name, path in files:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield f"{name}, line {number}", json.decode(line)
                    except DecodeError:
                        # DuckDB took it.
                        continue


def _kinds(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the kind of a value and of those in it; elements of a list share a place."""
    match value:
        case None:
            return
        case bool():
            yield path, "a boolean"
        case int() | float():
            yield path, "a number"
        case str():
            yield path, "a string"
        case dict():
            yield path, "an object"
            for name, member in value.items():
                yield from _kinds(member, (*path, name))
        case list():
            yield path, "an array"
            for element in value:
                yield from _kinds(element, (*path, "-"))
