"""Say in comments what the columns of a table do not keep."""

import re
from collections.abc import Iterator
from typing import Final

from app.schemas.ddl.types import Field, ListOf, MapOf, Scalar, StructOf, Type

MAX_COMMENT: Final = 255
"""Characters, as the Glue catalog has it."""
_COMMENTS: Final = re.compile(r"-{2,}|/\*|\*/")
_KEPT: Final = frozenset(" .,:;()<>[]_-+=/!?#@$%&~^|*")


def note_of(field: Field, *extra: str) -> str:
    """Return the comment of a column: each note of its type once, with the path of the member."""
    notes = dict.fromkeys(filter(None, extra))
    left = MAX_COMMENT - sum(map(len, notes))
    for note in _notes(field.type, ""):
        if left < 0:
            break
        if note not in notes:
            notes[note] = None
            left -= len(note)
    return plain("; ".join(notes))


def _notes(of: Type, path: str) -> Iterator[str]:
    # A path this long fills the comment, and those below begin with it.
    path = path[: MAX_COMMENT + 1]
    if isinstance(of, Scalar | StructOf) and of.note:
        yield f"{path}: {of.note}" if path else of.note
    match of:
        case ListOf():
            yield from _notes(of.item, f"{path}[]")
        case MapOf():
            yield from _notes(of.value, f"{path}[]")
        case StructOf():
            for field in of.fields:
                yield from _notes(field.type, f"{path}.{field.name}" if path else field.name)
        case _:
            pass


def plain(text: str) -> str:
    """Return a text for a comment, in which no reader of SQL finds an end or an escape.

    Names of fields are chosen by tenants: quotes, backslashes and control characters go, and
    `;`, `--`, `/*` are broken up.
    """
    kept = "".join(c if c.isalnum() or c in _KEPT else "_" for c in text)
    kept = _COMMENTS.sub(lambda match: " ".join(match[0]), kept.replace(";", ","))
    return kept if len(kept) <= MAX_COMMENT else f"{kept[: MAX_COMMENT - 1]}…"
