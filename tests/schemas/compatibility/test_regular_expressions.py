"""Patterns are matched as Python's engine does where the two languages agree, in bounded time."""

import re
from typing import Final

import pytest
from hypothesis import given, settings, strategies as st

from app.schemas.compatibility.regular_expressions import example, matches

_READ: Final = (
    "^[A-Z]{3}$", "^a", "b$", "^[ab]+$", "a|c", "^a.?$", "^(a|bc)*d{2,3}$", r"\d{3}-\d+",
    "^[^a-z]$", "x*?y", r"^\w+@[a-z.]+$", "(?:ab|c)+$", "^$", "^.*$", r"^[\d.-]+$", r"\S\s\W",
    "(a*)*b", "(a?){20}a{20}$", "^(a|b|)+$", "^a{00002,0000003}$",
)  # fmt: skip
_UNKNOWN: Final = ("^(?!a)b", r"\bfoo", r"(a)\1", r"\p{L}", "^*", "a{1,1000}", "a{٣}", "a" * 600)


@settings(max_examples=300)
@given(pattern=st.sampled_from(_READ), text=st.text("abcdxyA-1. @\n", max_size=12))
def test_the_plain_part_matches_as_elsewhere(pattern: str, text: str) -> None:
    # `$` of ECMA-262 is the very end.
    other = re.compile(pattern.replace("$", r"\Z"), re.ASCII)

    assert matches(pattern, text) == (other.search(text) is not None)


@pytest.mark.parametrize("pattern", _READ)
def test_an_example_matches(pattern: str) -> None:
    found = example(pattern)

    assert found is not None
    assert matches(pattern, found)


@pytest.mark.parametrize("pattern", _UNKNOWN)
def test_the_rest_is_unknown(pattern: str) -> None:
    assert matches(pattern, "a") is None
    assert example(pattern) is None


@pytest.mark.parametrize(
    "pattern", ["(((a*)*)*)*b", "((((a{100}){100}){100}){100}){100}", "(a|a)*c"]
)
def test_hostile_patterns_are_bounded(pattern: str) -> None:
    assert matches(pattern, "a" * 200) in {None, False}
    assert len(example(pattern) or "") <= 200
