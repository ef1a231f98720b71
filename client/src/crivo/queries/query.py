"""Run one statement that reads datasets and exports, in a database that reaches nothing else."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import duckdb
from msgspec import json

from crivo.errors import InvalidSource, NotFound
from crivo.queries.errors import QueryFailed, QueryRefused
from crivo.queries.interruptions import interruptible
from crivo.queries.names import export_of, is_of_files, place_of, quoted, tables_in
from crivo.queries.readers import as_identifier, as_list, as_text
from crivo.queries.tables import Tables

_EXPLAIN: Final = re.compile(r"\Aexplain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)
_NESTED: Final = frozenset({"array", "list", "map", "struct", "union"})
_ROWS_AT_ONCE: Final = 1_000
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    # No variables of this program as tables, and no code from elsewhere.
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class Query:
    """One statement that reads, which is checked when it is made.

    `folder` is empty, for what does not fit into memory. Raises QueryRefused.
    """

    def __init__(self, sql: str, *, folder: Path) -> None:
        """Open a database."""
        self._asked = sql
        self._result = folder / "result"
        self._database = duckdb.connect(config=_CONFIG)
        self._database.execute("SET TimeZone = 'UTC'")
        self._database.execute(f"SET temp_directory = {as_text(str(folder))}")
        with _errors():
            self._sql, reading = _single(quoted(sql))
            self._names = _table_names(reading)

    def __enter__(self) -> Self:
        """Return the query."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the database."""
        self._database.close()

    def prepare(self, tables: Tables) -> None:
        """Bring what it names, and close the database to everything else.

        Raises QueryRefused, QueryFailed, and what the client raises.
        """
        with _errors():
            files = [each for name in self._names for each in self._view(tables, name)]
        self._database.execute(f"SET allowed_paths = {as_list([*files, self._result])}")
        self._database.execute("SET enable_external_access = false")
        self._database.execute("SET lock_configuration = true")

    def rows(self) -> tuple[Sequence[str], Iterator[tuple[object, ...]]]:
        """Run it; return the names of its columns, and its rows.

        Raises QueryRefused, QueryFailed.
        """
        with _errors():
            interruptible(self._database, lambda: self._database.execute(self._sql))
        return [str(each[0]) for each in self._database.description or []], self._fetched()

    def written(self, format_: str) -> Path:
        """Run it, and write its result as csv, json (a document a line) or parquet.

        Return the file, which is gone with the folder. Raises QueryRefused, QueryFailed.
        """
        with _errors():
            sql = self._with_nested_as_json() if format_ == "csv" else self._sql
            copy = f"COPY ({sql}) TO {as_text(str(self._result))} (FORMAT {format_})"
            interruptible(self._database, lambda: self._database.execute(copy))
        return self._result

    def _with_nested_as_json(self) -> str:
        """Return the statement, with structures as JSON: in CSV they would be as DuckDB shows."""
        self._database.execute(f"FROM ({self._sql}) LIMIT 0")
        columns = self._database.description or []
        if not any(each[1].id in _NESTED for each in columns):
            return self._sql
        aliases = [f"c{at}" for at in range(len(columns))]
        shown = ", ".join(
            f"{f'to_json({alias})' if each[1].id in _NESTED else alias} AS {as_identifier(each[0])}"
            for alias, each in zip(aliases, columns, strict=True)
        )
        named = f"({self._sql}) AS t({', '.join(aliases)})"
        return f"SELECT {shown} FROM {named}"  # noqa: S608 - the user's own statement

    def _fetched(self) -> Iterator[tuple[object, ...]]:
        while True:
            with _errors():
                rows = interruptible(
                    self._database, lambda: self._database.fetchmany(_ROWS_AT_ONCE)
                )
            if not rows:
                return
            yield from rows

    def _view(self, tables: Tables, name: str) -> Sequence[Path]:
        export = export_of(name)
        if export is None and is_of_files(name):
            raise QueryRefused(
                f"{place_of(self._asked, name)}: a query reaches datasets and exports only, and "
                f"{name} is neither; DuckDB itself reads files"
            )
        try:
            if export is None:
                table = tables.dataset(name, self._database)
            else:
                table = tables.export(export)
        except (NotFound, InvalidSource) as error:
            raise QueryRefused(f"{place_of(self._asked, name)}: {error}") from None
        self._database.execute(f"CREATE VIEW {as_identifier(name)} AS FROM {table.sql}")
        return table.files


def _table_names(sql: str) -> Sequence[str]:
    """List the tables of a statement that it does not define itself. Raises QueryRefused."""
    # Closed: not even to parse may a statement open what it names.
    with duckdb.connect(config={**_CONFIG, "enable_external_access": False}) as closed:
        row = closed.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree = json.decode(row[0] if row else "{}")
    if tree.get("error"):
        raise QueryRefused(tree.get("error_message", "the statement cannot be parsed"))
    return sorted(set(tables_in(tree)))


def _single(text: str) -> tuple[str, str]:
    """Return the one statement of a text, and what it explains, or itself. Raises QueryRefused."""
    statements = duckdb.extract_statements(text)
    if len(statements) != 1:
        raise QueryRefused(f"there are {len(statements)} statements; one is run")
    [statement] = statements
    sql = statement.query.strip().rstrip(";")
    reading = sql
    if statement.type == duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE carries out what it explains.
        reading = _EXPLAIN.sub("", sql, count=1)
        [statement] = duckdb.extract_statements(reading)
    # To DuckDB, it is also WITH, DESCRIBE, SUMMARIZE, SHOW, VALUES and FROM.
    if statement.type != duckdb.StatementType.SELECT:
        raise QueryRefused(
            f"{statement.type.name} is refused; SELECT, WITH, DESCRIBE, SUMMARIZE and EXPLAIN read"
        )
    return sql, reading


@contextmanager
def _errors() -> Iterator[None]:
    """Raise DuckDB's errors as those of the client, with the place that they name."""
    try:
        yield
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise QueryRefused(str(error)) from None
    except duckdb.PermissionException as error:
        raise QueryRefused(f"a query reaches datasets and exports only: {error}") from None
    except duckdb.Error as error:
        raise QueryFailed(str(error)) from None
