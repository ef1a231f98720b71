"""Compatibility of two versions of a schema: what the one accepts, does the other accept it?"""

from app.schemas.compatibility.comparison import compare
from app.schemas.compatibility.verdicts import Direction, Reason, Verdict

__all__ = ["Direction", "Reason", "Verdict", "compare"]
