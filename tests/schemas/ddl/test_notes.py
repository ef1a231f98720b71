"""A comment has what fits into it, whatever a table has."""

import tracemalloc

from app.limits import MIB
from app.schemas.ddl.notes import MAX_COMMENT, note_of
from app.schemas.ddl.types import Field, Kind, ListOf, Scalar, StructOf, Type

_NOTED = Scalar(Kind.TIMESTAMP, note="a moment")


def _column(of: Type) -> Field:
    return Field("x", of, "")


def test_each_note_stands_once_with_the_member_that_it_is_about() -> None:
    inner = StructOf((Field("at", _NOTED, ""), Field("no", Scalar(Kind.INT), "")), note="more")

    assert note_of(_column(ListOf(inner)), "", "first", "first") == (
        "first, []: more, [].at: a moment"
    )


def test_notes_of_deep_members_take_little_memory() -> None:
    of: Type = StructOf(tuple(Field(f"p{n}", _NOTED, "") for n in range(5_000)))
    for _ in range(100):
        of = StructOf((Field("n" * 250, of, ""),))
    tracemalloc.start()
    try:
        note = note_of(_column(of))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(note) == MAX_COMMENT
    assert peak < MIB
