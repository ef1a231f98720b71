"""Cursors name a place and nothing else."""

from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from app.errors import InvalidRequest
from app.http.paging import FIRST, decode_cursor, encode_cursor


@given(st.uuids())
def test_a_cursor_comes_back_as_the_place_it_named(place: UUID) -> None:
    assert decode_cursor(encode_cursor(place)) == place


def test_no_cursor_is_the_first_page() -> None:
    assert decode_cursor(None) == FIRST


@given(st.text(max_size=40))
def test_any_other_text_is_refused_or_names_a_place(text: str) -> None:
    try:
        place = decode_cursor(text)
    except InvalidRequest:
        return
    assert isinstance(place, UUID)


@pytest.mark.parametrize("cursor", ["", "x", "\u00e9", "A" * 21, "A" * 23, "A" * 1000])
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_cursor(cursor)
