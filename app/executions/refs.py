"""Parse references to executions in paths."""

from uuid import UUID

from app.executions.problems import ExecutionNotFound
from app.scripts.refs import is_uuid


def parse_execution_id(text: str) -> UUID:
    """Parse the id of an execution. Raises ExecutionNotFound for any other text."""
    if not is_uuid(text):
        raise ExecutionNotFound(
            f"{text!r} is not the id of an execution; GET /executions lists them"
        )
    return UUID(text)
