#!/usr/bin/env python3
"""Print the statement that creates a Hive table in Athena for the events of a JSON Schema.

With Crivo's own mapper (app/schemas/ddl), which a running service offers at GET /schemas/{ref}/ddl.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
# Started by path, so the repository is not on the module path.
sys.path.insert(0, str(_HERE.parents[1]))

from app.schemas.ddl import BadOption, NoType, table  # noqa: E402 - needs the line above
from app.schemas.document import SchemaProblem, read_document  # noqa: E402


def create_hive_table_with_athena(
    json_schema: Mapping[str, Any] | str | os.PathLike[str],
    table_name: str,
    location: str,
    *,
    partition: Sequence[str] = (),
    file_format: str = "parquet",
    closure: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Return ``CREATE EXTERNAL TABLE …`` with all fields of a schema and their types.

    ``json_schema`` is a schema or the path of one; ``table_name`` is ``table`` or
    ``database.table``; ``location`` is ``s3://bucket/path/``; ``partition`` holds ``column:type``;
    ``file_format`` is ``parquet`` or ``json`` (one event a line); ``closure`` holds the schemas
    that ``$ref`` may lead to, by URI.

    Raises:
        NoType: a part of the schema has no type in a table; begins with its JSON pointer.
        BadOption: name, location or partition cannot be a table's.
        SchemaProblem: the file is no JSON.
    """
    if isinstance(json_schema, Mapping):
        uri, text = "", json.dumps(json_schema).encode()
    else:
        path = Path(json_schema)
        uri, text = path.name, path.read_bytes()
    texts = {name: json.dumps(schema).encode() for name, schema in (closure or {}).items()}
    document = read_document(uri, {**texts, uri: text}, strict={uri})
    return table(
        document,
        dialect="athena",
        format=file_format,
        name=table_name,
        location=location,
        partition=partition,
    )


def main() -> int:
    """Print the statement, or what is wrong with the schema."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    schema = _HERE / "customer.schema.json"
    parser.add_argument("schema", nargs="?", type=Path, default=schema, help="a JSON Schema")
    parser.add_argument("--name", default="quality.customers", help="database.table")
    parser.add_argument("--location", default="s3://lake/customers/", help="URL of the files")
    parser.add_argument("--format", default="parquet", choices=["parquet", "json"])
    parser.add_argument("--partition", action="append", default=[], help="column:type")
    options = parser.parse_args()
    try:
        sql = create_hive_table_with_athena(
            options.schema,
            options.name,
            options.location,
            partition=options.partition,
            file_format=options.format,
        )
    except (BadOption, NoType, SchemaProblem, OSError) as error:
        print(f"{options.schema}: {error}", file=sys.stderr)
        return 1
    print(sql, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
