"""Say whether two schemas, each in its own library, are the same text, references followed."""

from typing import Any

from app.schemas.compatibility.budget import Budget
from app.schemas.compatibility.clauses import canonical
from app.schemas.drafts import inner_schemas
from app.schemas.library import Library, Place


class Sameness:
    """Compares places of two libraries; cycles of references are followed once."""

    def __init__(self, left: Library, right: Library, budget: Budget) -> None:
        """Know both sides."""
        self._left, self._right, self._budget = left, right, budget
        # Proven or assumed, in their order: what failed takes all that was proven by it along.
        self._assumed: dict[tuple[Place, Place], None] = {}
        self._different: set[tuple[Place, Place]] = set()

    def same(self, a: Place, b: Place) -> bool:
        """Say whether two schemas mean the same because they are written in the same way."""
        if (a, b) in self._assumed:
            return True
        if (a, b) in self._different:
            return False
        self._budget.spend()
        before = len(self._assumed)
        self._assumed[a, b] = None
        found = self._same(a, b)
        if not found:
            while len(self._assumed) > before:
                self._assumed.popitem()
            self._different.add((a, b))
        return found

    def _same(self, a: Place, b: Place) -> bool:
        if isinstance(a.schema, bool) or isinstance(b.schema, bool):
            return a.schema is b.schema
        if a.resource.draft_7 != b.resource.draft_7 or a.resource.foreign or b.resource.foreign:
            return False
        left, right = _meaningful(a), _meaningful(b)
        if left.keys() != right.keys() or "$dynamicRef" in left:
            return False
        if "$ref" in left and not self.same(self._left.resolve(a), self._right.resolve(b)):
            return False
        return all(self._same_keyword(a, b, keyword) for keyword in left if keyword != "$ref")

    def _same_keyword(self, a: Place, b: Place, keyword: str) -> bool:
        mine, others = a.schema[keyword], b.schema[keyword]
        draft_7 = a.resource.draft_7
        inside = dict(inner_schemas({keyword: mine}, draft_7=draft_7))
        if inside.keys() != dict(inner_schemas({keyword: others}, draft_7=draft_7)).keys():
            return False
        if not inside:
            return canonical(mine) == canonical(others)
        if isinstance(mine, dict) and keyword != "dependencies" and _is_map(keyword):
            return mine.keys() == others.keys() and all(
                self.same(self._left.inside(a, keyword, k), self._right.inside(b, keyword, k))
                for k in mine
            )
        if keyword == "dependencies":
            # Lists of names stand beside schemas.
            return False
        if isinstance(mine, list):
            return len(mine) == len(others) and all(
                self.same(self._left.inside(a, keyword, i), self._right.inside(b, keyword, i))
                for i in range(len(mine))
            )
        return self.same(self._left.inside(a, keyword), self._right.inside(b, keyword))


def _is_map(keyword: str) -> bool:
    return keyword in {"properties", "patternProperties", "dependentSchemas"}


def _meaningful(place: Place) -> dict[str, Any]:
    return {k: v for k, v in place.schema.items() if place.has(k)}
