"""Compare versions of a schema: whether the one accepts what the other accepts."""

from app.schemas.compatibility.comparison import compare
from app.schemas.compatibility.verdicts import Direction, Reason, Verdict

__all__ = ["Direction", "Reason", "Verdict", "compare"]
