"""Write tables of schemas in tests."""

from typing import Any

from app.schemas.ddl import table
from app.schemas.document import SchemaDocument

URI = "crivo:/schemas/events@3"


def ddl(
    schema: Any,  # noqa: ANN401 - any JSON
    dialect: str = "athena",
    **options: Any,  # noqa: ANN401 - as `table` takes them
) -> str:
    """Return the statement for a schema; for Athena and Hive there is a location."""
    if dialect in {"athena", "hive"}:
        options.setdefault("location", "s3://lake/events/")
    document = SchemaDocument(URI, {URI: schema}, strict={URI})
    return table(document, dialect=dialect, **{"name": "db.events", **options})


def fields(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return the schema of an object with these members."""
    return {"type": "object", "properties": properties}
