"""Parse references to executions in paths, and to batches and runs in filters."""

from uuid import UUID

from msgspec import UNSET, UnsetType

from app.errors import clipped, invalid_parameter
from app.executions.problems import ExecutionNotFound
from app.references import is_uuid, parse_id


def parse_execution_id(text: str) -> UUID:
    """Parse the id of an execution. Raises ExecutionNotFound for any other text."""
    return parse_id(text, "an execution", ExecutionNotFound, listed="GET /executions")


def parse_group(name: str, text: str | UnsetType) -> UUID | None:
    """Parse a filter by `batch` or `run`. Raises InvalidRequest for a text that is no id."""
    if text is UNSET:
        return None
    if not is_uuid(text):
        raise invalid_parameter(name, f"{clipped(text)!r} is not the id of a {name}")
    return UUID(text)
