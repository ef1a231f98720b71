"""Parse references to comparisons in paths."""

from uuid import UUID

from app.comparisons.problems import ComparisonNotFound
from app.references import is_uuid


def parse_comparison_id(text: str) -> UUID:
    """Parse the id of a comparison. Raises ComparisonNotFound for any other text."""
    if not is_uuid(text):
        raise ComparisonNotFound(f"{text!r} is not the id of a comparison")
    return UUID(text)
