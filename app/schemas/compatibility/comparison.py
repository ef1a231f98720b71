"""Compare two versions of a schema in both directions."""

import json
from typing import Final, TypeAlias

from app.schemas.compatibility.budget import Budget, Undecidable
from app.schemas.compatibility.inclusion import Inclusion, Obstacle
from app.schemas.compatibility.normal_form import NormalForm
from app.schemas.compatibility.sameness import Sameness
from app.schemas.compatibility.verdicts import Direction, Reason, Verdict
from app.schemas.compatibility.witnesses import Witnesses
from app.schemas.document import JsonValue, Library, SchemaDocument, SchemaProblem

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
    if _are_equal(old, new):
        return Verdict(backward=True, forward=True, reasons=())
    try:
        budget = Budget(MAX_STEPS)
        a, b = (NormalForm(Library(document), budget) for document in (old, new))
    except SchemaProblem as problem:
        undecided = [_undecided(Obstacle(problem.pointer, problem.message))]
        return _verdict((None, undecided), (None, undecided))
    return _verdict(_decide(a, b), _decide(b, a))


def _are_equal(old: SchemaDocument, new: SchemaDocument) -> bool:
    """Say whether two versions are the same but for their own URIs, which differ."""
    try:
        return _text_of(old) == _text_of(new)
    except RecursionError:
        return False


def _text_of(document: SchemaDocument) -> str:
    # As a text: to Python, 1 is equal to true.
    others = {uri: schema for uri, schema in document.documents.items() if uri != document.uri}
    strict = sorted(set(document.strict) - {document.uri})
    root = document.documents.get(document.uri)
    parts = [root, document.uri in document.strict, others, strict]
    return json.dumps(parts, sort_keys=True)


_Decision: TypeAlias = tuple[bool | None, list[Obstacle]]


def _verdict(backward: _Decision, forward: _Decision) -> Verdict:
    reasons = tuple(
        Reason(direction, obstacle.pointer, obstacle.message)
        for direction, (_, obstacles) in (
            (Direction.BACKWARD, backward),
            (Direction.FORWARD, forward),
        )
        for obstacle in obstacles
    )
    return Verdict(backward=backward[0], forward=forward[0], reasons=reasons)


def _undecided(obstacle: Obstacle) -> Obstacle:
    return Obstacle(obstacle.pointer, f"cannot be decided: {obstacle.message}")


def _decide(source: NormalForm, target: NormalForm) -> _Decision:
    """Decide whether all documents of one version are valid under the other."""
    source.budget.refill()
    try:
        sameness = Sameness(source.library, target.library, source.budget)
        obstacles = Inclusion(source, target, sameness).obstacles(source.root(), target.root())
    except (Undecidable, SchemaProblem) as problem:
        obstacles = [Obstacle(problem.pointer, problem.message)]
    except RecursionError:
        obstacles = [Obstacle("", "the schemas nest too deep")]
    if not obstacles:
        return True, []
    found = counterexample(source, target)
    if found is None:
        return None, list(map(_undecided, obstacles[:MAX_REASONS]))
    text = json.dumps(found[0], ensure_ascii=False)
    shown = text if len(text) <= MAX_EXAMPLE else f"{text[: MAX_EXAMPLE - 1]}…"
    example = Obstacle("", f"refuses {shown}, which the other version accepts")
    return False, [*obstacles[: MAX_REASONS - 1], example]


def counterexample(source: NormalForm, target: NormalForm) -> tuple[JsonValue] | None:
    """Return a document that one version accepts and the other refuses; None: none was found."""
    source.budget.refill()
    try:
        return Witnesses(source, target).find()
    except (Undecidable, SchemaProblem, RecursionError):
        return None
