"""Compare two versions of a schema in both directions."""

import json
from typing import Any, Final

from app.schemas.compatibility.budget import Budget, Undecidable
from app.schemas.compatibility.inclusion import Inclusion, Obstacle
from app.schemas.compatibility.normal_form import NormalForm
from app.schemas.compatibility.sameness import Sameness
from app.schemas.compatibility.verdicts import Direction, Reason, Verdict
from app.schemas.compatibility.witnesses import Witnesses
from app.schemas.document import Library, SchemaDocument, SchemaProblem

MAX_REASONS: Final = 20
"""Of one direction."""
MAX_EXAMPLE: Final = 200
"""Characters of a document that a reason shows."""
MAX_STEPS: Final = 20_000
"""Of one search for a proof or a document."""


def compare(old: SchemaDocument, new: SchemaDocument) -> Verdict:
    """Say for both directions whether they hold.

    True has a proof by the rules. False has a document that the one version accepts and the other
    refuses. Else the direction is None, and its reasons begin with "cannot be decided".
    """
    if set(old.strict) == set(new.strict) and old.documents == new.documents and old.uri == new.uri:
        return Verdict(backward=True, forward=True, reasons=())
    backward, why = _decide(old, new)
    forward, why_not = _decide(new, old)
    reasons = [Reason(Direction.BACKWARD, o.pointer, o.message) for o in why]
    reasons += [Reason(Direction.FORWARD, o.pointer, o.message) for o in why_not]
    return Verdict(backward=backward, forward=forward, reasons=tuple(reasons))


def _decide(source: SchemaDocument, target: SchemaDocument) -> tuple[bool | None, list[Obstacle]]:
    """Decide whether all documents of one version are valid under the other."""
    try:
        obstacles = _prove(source, target)
    except (Undecidable, SchemaProblem) as problem:
        obstacles = [Obstacle(problem.pointer, problem.message)]
    except RecursionError:
        obstacles = [Obstacle("", "the schemas nest too deep")]
    if not obstacles:
        return True, []
    found = counterexample(source, target)
    if found is None:
        return None, [
            Obstacle(o.pointer, f"cannot be decided: {o.message}") for o in obstacles[:MAX_REASONS]
        ]
    text = json.dumps(found[0], ensure_ascii=False)
    shown = text if len(text) <= MAX_EXAMPLE else f"{text[: MAX_EXAMPLE - 1]}…"
    example = Obstacle("", f"refuses {shown}, which the other version accepts")
    return False, [*obstacles[: MAX_REASONS - 1], example]


def _prove(source: SchemaDocument, target: SchemaDocument) -> list[Obstacle]:
    budget = Budget(MAX_STEPS)
    a, b = (NormalForm(Library(document), budget) for document in (source, target))
    sameness = Sameness(a.library, b.library, budget)
    return Inclusion(a, b, sameness).obstacles(a.root(), b.root())


def counterexample(source: SchemaDocument, target: SchemaDocument) -> tuple[Any] | None:
    """Return a document that one version accepts and the other refuses; None: none was found."""
    budget = Budget(MAX_STEPS)
    try:
        a, b = (NormalForm(Library(document), budget) for document in (source, target))
        return Witnesses(a, b).find()
    except (Undecidable, SchemaProblem, RecursionError):
        return None
