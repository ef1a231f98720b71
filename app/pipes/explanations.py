"""Say of a refused event what its error alone does not tell."""

from typing import Final

from msgspec.structs import replace

from app.datasets.parts.json_text import InvalidJson, require_json
from app.execution_errors import Failure
from app.pipes.model import ChosenSchema
from app.references import is_name
from app.sandbox.outcomes import InvalidInput, Outcome, SchemaMismatch, UnknownSchema
from app.wording import NAMES

_SPACE: Final = b" \t\r\n"
_ARRAY: Final = "an array is one event; several are sent as lines (application/x-ndjson)"
_LINES: Final = "it is several lines; each is an event of its own as application/x-ndjson"
_NO_NAME: Final = (
    f"and none can have that name, which is {NAMES}; the script of a re-drive can write others "
    "into the event"
)


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
            unknown = replace(failure, message=f"there is no schema {name + version!r}")
            return unknown if is_name(name) else _with_hint(unknown, _NO_NAME)
        case UnknownSchema() if _is_array(event):
            return _with_hint(failure, _ARRAY)
        case SchemaMismatch(side="input", errors=(first, *_)) if (
            first.pointer == "" and first.keyword == "type" and _is_array(event)
        ):
            return _with_hint(failure, _ARRAY)
        case InvalidInput() if _begins_with_a_line_of_json(event):
            return _with_hint(failure, _LINES)
        case _:
            return failure


def _with_hint(failure: Failure, hint: str) -> Failure:
    return replace(failure, message=f"{failure.message}; {hint}")


def _is_array(event: bytes) -> bool:
    return event.lstrip(_SPACE)[:1] == b"["


def _begins_with_a_line_of_json(event: bytes) -> bool:
    first, _, rest = event.strip(_SPACE).partition(b"\n")
    if not rest:
        return False
    try:
        require_json(first)
    except InvalidJson:
        return False
    return True
