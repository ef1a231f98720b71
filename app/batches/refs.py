"""Parse references to batches in paths and queries."""

from uuid import UUID

from app.batches.problems import BatchNotFound
from app.references import is_uuid


def parse_batch_id(text: str) -> UUID:
    """Parse the id of a batch. Raises BatchNotFound for any other text."""
    if not is_uuid(text):
        raise BatchNotFound(f"{text!r} is not the id of a batch; GET /batches lists them")
    return UUID(text)
