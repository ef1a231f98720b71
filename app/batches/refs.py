"""Parse references to batches in paths and queries."""

from uuid import UUID

from app.batches.problems import BatchNotFound
from app.references import parse_id


def parse_batch_id(text: str) -> UUID:
    """Parse the id of a batch. Raises BatchNotFound for any other text."""
    return parse_id(text, "a batch", BatchNotFound, listed="GET /batches")
