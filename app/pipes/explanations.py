"""Say of a refused event what its error alone does not tell."""

from typing import Final

from msgspec.structs import replace

from app.execution_errors import Failure
from app.pipes.model import ChosenSchema
from app.sandbox.outcomes import Outcome, SchemaMismatch, UnknownSchema

_SPACE: Final = b" \t\r\n"
_ARRAY: Final = "an array is one event; several are sent as lines (application/x-ndjson)"


def explain(
    failure: Failure, outcome: Outcome, event: bytes, schema: str | ChosenSchema | None
) -> Failure:
    """Return the failure with the schema that was looked for, or with how events are sent."""
    match outcome:
        case UnknownSchema(values=values, pointer=None) if isinstance(schema, ChosenSchema):
            # A string with a slash names no schema, and would look like two.
            if values.count("/") != len(schema.by) - 1:
                return failure
            name = schema.prefix + values.replace("/", ".")
            version = "" if schema.alias is None else f"@{schema.alias}"
            return replace(failure, message=f"there is no schema {name + version!r}")
        case SchemaMismatch(side="input", errors=(first, *_)) if (
            first.pointer == "" and first.keyword == "type" and event.lstrip(_SPACE)[:1] == b"["
        ):
            return replace(failure, message=f"{failure.message}; {_ARRAY}")
        case _:
            return failure
