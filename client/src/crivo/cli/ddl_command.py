"""`crivo schemas ddl`: print the statement that creates a table of a schema."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from crivo.cli.arguments import Service
from crivo.cli.export_errors import naming_options
from crivo.cli.output import write_json, write_line
from crivo.options import TableOptions


def ddl(
    schema: str,
    /,
    *,
    dialect: Literal["athena", "hive", "duckdb", "postgresql"] = "athena",
    file_format: Annotated[Literal["parquet", "json"], Parameter(name="--format")] = "parquet",
    name: str | None = None,
    location: str | None = None,
    partition: Annotated[list[str] | None, Parameter(negative=())] = None,
    to: Path | None = None,
    service: Service | None = None,
) -> None:
    """Print the SQL that creates a table with a column for each field of a schema.

    Parameters
    ----------
    schema
        A reference such as `events`, `events@3` or `events@prod`.
    dialect
        Whose SQL.
    file_format
        What the files are; `json`: one document a line.
    name
        `table` or `database.table`; by default the schema's name.
    location
        URL of the files, such as `s3://bucket/path/`; Athena needs one.
    partition
        `column:type`, a column whose values are in the paths of the files; may repeat.
    to
        File to write instead.
    """
    service = service or Service()
    options: TableOptions = {"format": file_format, "partition": partition or ()}
    if name is not None:
        options["name"] = name
    if location is not None:
        options["location"] = location
    with service.client() as client, naming_options():
        sql = client.schemas.ddl(schema, dialect, **options)
    if to is not None:
        to.write_text(sql, encoding="utf-8")
    elif service.as_json:
        write_json({"schema": schema, "dialect": dialect, "sql": sql})
    else:
        write_line(sql.rstrip("\n"))
