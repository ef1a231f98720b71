"""An excerpt shows the position of an error in its line."""

import pytest

from app.sandbox.excerpts import excerpt_at


def test_an_excerpt_of_a_long_line_shows_the_part_around_the_column() -> None:
    source = b"a" * 500 + b"!" + b"b" * 500
    line, caret = (excerpt_at(source, line=1, column=501) or "").split("\n")
    assert line[caret.index("^")] == "!"
    assert line[0] == line[-1] == "…"
    assert len(line) < 130


@pytest.mark.parametrize(("line", "column"), [(0, 1), (2, 1), (1, 0), (1, 9)])
def test_a_position_outside_the_source_has_no_excerpt(line: int, column: int) -> None:
    assert excerpt_at(b"let a=1", line=line, column=column) is None
