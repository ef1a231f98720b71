"""Compare two versions of a schema in both directions."""

import json
from typing import Final, TypeAlias

from app.schemas.compatibility.budget import Budget, Undecidable
from app.schemas.compatibility.inclusion import Inclusion
from app.schemas.compatibility.normal_form import NormalForm
from app.schemas.compatibility.sameness import Sameness
from app.schemas.compatibility.verdicts import Direction, Reason, Verdict
from app.schemas.compatibility.witnesses import Witnesses
from app.schemas.document import JsonValue, SchemaDocument, SchemaProblem
from app.schemas.library import Library

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
        undecided = [_undecided(problem.pointer, problem.message)]
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


_Why: TypeAlias = tuple[str, str]
"""A pointer and a message."""
_Decision: TypeAlias = tuple[bool | None, list[_Why]]


def _verdict(backward: _Decision, forward: _Decision) -> Verdict:
    reasons = tuple(
        Reason(direction, pointer, message)
        for direction, (_, found) in (
            (Direction.BACKWARD, backward),
            (Direction.FORWARD, forward),
        )
        for pointer, message in found
    )
    return Verdict(backward=backward[0], forward=forward[0], reasons=reasons)


def _undecided(pointer: str, message: str) -> _Why:
    return pointer, f"cannot be decided: {message}"


def _decide(source: NormalForm, target: NormalForm) -> _Decision:
    """Decide whether all documents of one version are valid under the other."""
    source.budget.refill()
    try:
        found = _obstacles(source, target)
    except (Undecidable, SchemaProblem) as problem:
        found = [(problem.pointer, problem.message)]
    except RecursionError:
        found = [("", "the schemas nest too deep")]
    if not found:
        return True, []
    document = counterexample(source, target)
    if document is None:
        return None, [_undecided(*each) for each in found]
    text = json.dumps(document[0], ensure_ascii=False)
    shown = text if len(text) <= MAX_EXAMPLE else f"{text[: MAX_EXAMPLE - 1]}…"
    example = ("", f"refuses {shown}, which the other version accepts")
    return False, [*found[: MAX_REASONS - 1], example]


def _obstacles(source: NormalForm, target: NormalForm) -> list[_Why]:
    sameness = Sameness(source.library, target.library, source.budget)
    found = Inclusion(source, target, sameness).obstacles(source.root(), target.root())
    return [
        ("" if each.at is None else target.library.location(each.at), each.message)
        for each in found[:MAX_REASONS]
    ]


def counterexample(source: NormalForm, target: NormalForm) -> tuple[JsonValue] | None:
    """Return a document that one version accepts and the other refuses; None: none was found."""
    source.budget.refill()
    try:
        return Witnesses(source, target).find()
    except (Undecidable, SchemaProblem, RecursionError):
        return None
