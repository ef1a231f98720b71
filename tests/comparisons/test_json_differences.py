"""Two documents without a difference are equal as JSON, and a difference keeps its bytes."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from app.comparisons.json_differences import MAX_DEPTH, Place, changes_between

_TEXTS = st.text(st.characters(exclude_categories=()), max_size=3)
# As JSON writes them, with several spellings of one value.
_NUMBERS = st.sampled_from(
    ["0", "-0", "0.0", "1", "1.0", "10e-1", "1E+0", "100", "1e2", "-1", "12345678901234567890",
     "12345678901234567891", "0.1", "0.10000000000000000001", "1e400", "1e401", "10e399"]
)  # fmt: skip


def _spelled(draw: st.DrawFn, depth: int = 0) -> str:
    """Write a small document, with members in any order and characters escaped or not."""
    kind = draw(st.integers(0, 5 if depth < 3 else 2))
    if kind == 0:
        return draw(_NUMBERS)
    if kind == 1:
        # Lone surrogates can only be escaped.
        text = draw(_TEXTS)
        escaped = draw(st.booleans()) or any("\ud800" <= each <= "\udfff" for each in text)
        return json.dumps(text, ensure_ascii=escaped)
    if kind == 2:
        return draw(st.sampled_from(["true", "false", "null"]))
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    count = draw(st.integers(0, 3))
    if kind == 3:
        return f"[{space}" + f",{space}".join(_spelled(draw, depth + 1) for _ in range(count)) + "]"
    names = draw(st.permutations(["a", "b/~", "\ud800", ""]))[:count]
    members = [f"{json.dumps(name)}:{space}{_spelled(draw, depth + 1)}" for name in names]
    return "{" + f"{space},".join(members) + f"{space}}}"


_documents = st.composite(_spelled)


def _exact(document: str) -> Any:  # noqa: ANN401 - any JSON
    """Parse a document with exact numbers, which differ from booleans."""

    def number(text: str) -> tuple[str, Decimal]:
        return "number", Decimal(text)

    return json.loads(document, parse_int=number, parse_float=number)


def _at(document: str, pointer: str) -> Any:  # noqa: ANN401 - any JSON
    value = _exact(document)
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value


@settings(max_examples=400)
@given(_documents(), _documents())
def test_documents_without_a_difference_are_equal_and_no_others(before: str, after: str) -> None:
    changes = changes_between(before.encode(), after.encode(), limit=100)

    assert (changes == []) == (_exact(before) == _exact(after))
    for change in changes:
        # Each value is at its place, in its own bytes.
        if change.before is not None:
            assert change.before in before.encode()
            assert _at(before, change.pointer) == _exact(change.before.decode())
        if change.after is not None:
            assert change.after in after.encode()
            assert _at(after, change.pointer) == _exact(change.after.decode())
        assert change.before != change.after


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('{"a":1,"b":[1,2]}', '{"b":[1,3],"a":1}', [("/b/1", b"2", b"3")]),
        ('{"a":1}', '{"b":1}', [("/a", b"1", None), ("/b", None, b"1")]),
        ("[1]", "[1,{}]", [("/1", None, b"{}")]),
        ("1", '"1"', [("", b"1", b'"1"')]),
        ("true", "1", [("", b"true", b"1")]),
        ("[1]", '{"0":1}', [("", b"[1]", b'{"0":1}')]),
        ('{"a~/b":{"":9007199254740993}}', '{"a~/b":{"":9007199254740992}}',
         [("/a~0~1b/", b"9007199254740993", b"9007199254740992")]),
        ('{"a":1,"a":2}', '{"a":2}', []),
        (f"1e{'9' * 5000}", f"1e{'9' * 5001}",
         [("", b"1e" + b"9" * 5000, b"1e" + b"9" * 5001)]),
    ],
)  # fmt: skip
def test_a_difference_has_its_pointer_and_both_values(
    before: str, after: str, expected: list[tuple[str, bytes | None, bytes | None]]
) -> None:
    changes = changes_between(before.encode(), after.encode(), limit=10)

    assert [Place(pointer=p, before=b, after=a) for p, b, a in expected] == changes


@pytest.mark.parametrize("text", [b"\xff", b"nothing", b"[1,]", b"", b"NaN", b"1 2", b"[" * 99_999])
def test_bytes_that_are_not_json_equal_only_themselves(text: bytes) -> None:
    assert changes_between(text, text, limit=1) == []
    assert changes_between(text, b"1", limit=1) == [Place(pointer="", before=text, after=b"1")]


def test_a_place_with_a_long_pointer_is_reported_by_the_value_around_it() -> None:
    before, after = (b'{"a":[{"%b":{"n":%d},"z":1}]}' % (b"k" * 600, n) for n in (1, 2))

    [place] = changes_between(before, after, limit=9)

    assert (place.pointer, place.before, place.after) == ("/a/0", before[6:-2], after[6:-2])
    reordered = b'{"a":[{"z":1,"%b":{"n":1}}]}' % (b"k" * 600)
    assert changes_between(before, reordered, limit=9) == []


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")])
def test_no_depth_ends_the_comparison(brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    # Around the depth at which the scanner gives up, which depends on the caller's own depth.
    for depth in range(960, 1_001):
        before, after = (opening * depth + each + closing * depth for each in (b"1", b"2"))
        [place] = changes_between(before, after, limit=10)
        assert (place.before, place.after) != (None, None)


def test_depth_and_number_of_differences_are_bounded() -> None:
    deep, deeper = ('{"a":' * depth + '{"b":1,"c":2}' + "}" * depth for depth in (9, MAX_DEPTH))
    swap = ('"b":1,"c":2', '"c":2,"b":1')

    assert changes_between(deep.encode(), deep.replace(*swap).encode(), limit=1) == []
    found = changes_between(deeper.encode(), deeper.replace(*swap).encode(), limit=1)
    assert [change.pointer for change in found] == ["/a" * MAX_DEPTH]
    assert len(changes_between(b"[1,2,3]", b"[4,5,6]", limit=2)) == 2
