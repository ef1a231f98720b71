"""Parse references to re-drives in paths."""

from uuid import UUID

from app.redrives.problems import RedriveNotFound
from app.references import parse_id


def parse_redrive_id(text: str) -> UUID:
    """Parse the id of a re-drive. Raises RedriveNotFound for any other text."""
    return parse_id(text, "a re-drive", RedriveNotFound, listed="GET /redrives")
