"""Find the rows that duplicates replace."""

from typing import Final

from duckdb import DuckDBPyConnection

_ORDER: Final = "rank DESC, major DESC, minor DESC, ordinal DESC"


def find_losers(connection: DuckDBPyConnection, keys: int) -> int:
    """Make the table `losers` of the ordinals of rows of `ranked` that another one replaces.

    Return their number. Only rows whose key's hash occurs more than once are sorted.
    """
    names = ", ".join(f"k{n}" for n in range(keys))
    if not keys:
        connection.execute("CREATE TABLE losers (ordinal BIGINT)")
        return 0
    connection.execute(
        "CREATE TABLE repeated AS SELECT h FROM"
        f" (SELECT hash({names}) AS h FROM ranked) GROUP BY h HAVING count(*) > 1"
    )
    connection.execute(
        "CREATE TABLE losers AS SELECT ordinal FROM (SELECT ordinal, row_number() OVER"
        f" (PARTITION BY {names} ORDER BY {_ORDER}) AS place FROM ranked"
        f" WHERE hash({names}) IN (SELECT h FROM repeated)) WHERE place > 1"
    )
    connection.execute("DROP TABLE repeated")
    return count(connection, "losers")


def ranked(table: str, keys: int) -> str:
    """Return what decides which rows of a table survive."""
    names = ", ".join(("ordinal", *(f"k{n}" for n in range(keys)), "rank", "major", "minor"))
    return f"SELECT {names} FROM {table}"


def count(connection: DuckDBPyConnection, table: str) -> int:
    """Return the number of rows of a table."""
    found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found[0]) if found else 0
