"""Order the values of a statement by the names that its text gives to its parameters.

asyncpg sends parameters by position. A statement with more than six of them names each one where
it stands, and its caller passes values by name; tests/conventions/test_sql.py holds both.
"""

import re
from functools import cache
from typing import Final

# `name => $1`, an argument of a function or procedure; `$1::type AS name`, a column of the CTE
# `parameters` or of what an INSERT selects; `LIMIT $1`, which no column can stand for.
_NAMED: Final = re.compile(
    r"(?P<argument>\w+) => \$(?P<a>\d+)\b"
    r"|\$(?P<c>\d+)(?:::[\w\[\]]+)* AS (?P<column>\w+)"
    r"|(?P<limit>LIMIT) \$(?P<l>\d+)\b"
)


def in_order(statement: str, **values: object) -> list[object]:
    """Return the values in the order of the statement's parameters.

    Raises TypeError when a parameter has no value, or a value has no parameter.
    """
    names = parameter_names(statement)
    if len(values) != len(names) or not values.keys() >= set(names):
        raise TypeError(f"the statement takes {sorted(names)}, not {sorted(values)}")
    return [values[name] for name in names]


@cache
def parameter_names(statement: str) -> tuple[str, ...]:
    """Return the names of a statement's parameters, in the order of their numbers."""
    names: dict[int, str] = {}
    for match in _NAMED.finditer(statement):
        name = match["argument"] or match["column"] or match["limit"].lower()
        names[int(match["a"] or match["c"] or match["l"])] = name
    return tuple(names[number] for number in sorted(names))
