"""Parse references to re-drives in paths."""

from uuid import UUID

from app.redrives.problems import RedriveNotFound
from app.references import is_uuid


def parse_redrive_id(text: str) -> UUID:
    """Parse the id of a re-drive. Raises RedriveNotFound for any other text."""
    if not is_uuid(text):
        raise RedriveNotFound(f"{text!r} is not the id of a re-drive; GET /redrives lists them")
    return UUID(text)
