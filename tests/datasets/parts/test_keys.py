"""Keys are strings and numbers, compared as their JSON says, however they are read."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from app.datasets.parts import RawNumber, encode_key, json_text, parse_key, parse_pointer
from app.datasets.parts.json_text import MAX_PARSED_BYTES, InvalidJson, parse_json, require_json
from app.datasets.parts.key_reader import KeyReader
from app.datasets.parts.keys import HashSeed, hash_of
from app.datasets.parts.pointers import MAX_ELEMENT, MAX_TOKENS, key_of
from tests.datasets.parts.stored import SEED

_POINTERS = st.sampled_from(["", "/pk", "/a/pk", "/0", "/a/1", "/é", "/", "/a~1b~0"])
_KEYS = st.one_of(
    st.text(max_size=3).map(json.dumps),
    st.text(max_size=3).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.integers(-(10**22), 10**22).map(str),
    st.sampled_from(["-0", "0", "1.0", "1e2", "1E400", "9" * 5_000, "-0.0", "true", "null", "[]"]),
    st.sampled_from(['"\\ud800"', '"\\/"', '"\\u0061"', '{"pk":"x"}', '["x","y"]']),
)


@st.composite
def _records(draw: st.DrawFn) -> bytes:
    key = draw(_KEYS)
    shapes = (
        key,
        f'{{"pk":{key}}}',
        f'{{"a":{{"pk": {key} }},"pk":1}}',
        f'{{"x":"\\ud800","pk":{key}}}',
        f'{{"pk":2,"pk":{key}}}',
        f"[{key},{key}]",
        f'{{"a":[0,{key}]}}',
        f'{{"0":{key},"":{key},"\\u00e9":{key},"a/b~":{key}}}',
        f"\t{key} \r",
        f' [ {key} , {{"pk": {key} }} ] ',
        f'{{"a":{{"1":{key}}},"a":{{"pk":{key}}}}}',
    )
    return draw(st.sampled_from(shapes)).encode(errors="surrogatepass")


@settings(max_examples=400)
@given(pointer=_POINTERS, records=st.lists(_records(), min_size=1, max_size=4))
def test_all_ways_to_read_a_key_agree(pointer: str, records: list[bytes]) -> None:
    parsed = parse_pointer(pointer)
    reader = KeyReader(parsed)
    try:
        exact = [key_of(parse_json(record), parsed) for record in records]
    except InvalidJson:
        # A lone surrogate as UTF-8.
        return

    assert [reader.read(record) for record in records] == exact
    hashes = reader.hashes(records, SEED)
    if hashes is not None:
        assert hashes == [hash_of(key, SEED) for key in exact if key is not None]


def test_plain_keys_are_read_many_at_once() -> None:
    reader = KeyReader(parse_pointer("/a/pk"))

    strings = [b'{"a":{"pk":"%d"}}\r' % number for number in range(9)]
    integers = [b'{"a":{"pk":%d,"b":[]}}' % number for number in range(9)]
    assert reader.hashes(strings, SEED) == [
        hash_of(encode_key(str(number)), SEED) for number in range(9)
    ]
    assert reader.hashes(integers, SEED) == [
        hash_of(encode_key(RawNumber(number)), SEED) for number in range(9)
    ]
    assert reader.hashes([*strings, *integers], SEED) is None


def test_hashes_are_those_of_stored_indexes() -> None:
    # A change would hide the records of every stored part.
    assert HashSeed(6424735547165501610, 1529478399040441774, 194350225) == SEED
    assert hash_of(encode_key("123"), SEED) == 15183138002503265274
    assert hash_of(encode_key(RawNumber("123")), SEED) == 15088532672092813439


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (b'"a"', b'"\\u0061"'),
        (b'"/"', b' "\\/"'),
        (b"-0", b"0"),
        (b'"\\ud83d\\ude00"', '"😀"'.encode()),
    ],
)
def test_keys_that_are_one(text: bytes, same: bytes) -> None:
    assert parse_key(text) == parse_key(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (b'"123"', b"123"),
        (b"1", b"1.0"),
        (b"1", b"1e0"),
        (b"9007199254740993", b"9007199254740992"),
        (b'""', b'"\\u0000"'),
        ('"é"'.encode(), b'"e\\u0301"'),
    ],
)
def test_keys_that_differ(text: bytes, other: bytes) -> None:
    assert parse_key(text) != parse_key(other)
    assert hash_of(parse_key(text), SEED) != hash_of(parse_key(other), SEED)


@pytest.mark.parametrize("text", [b"", b"abc", b"true", b"null", b"{}", b'"a', b"01", b"\xff"])
def test_what_is_no_key(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|UTF-8|a key is"):
        parse_key(text)


def test_a_long_line_is_read_without_the_parser_that_makes_objects() -> None:
    reader = KeyReader(parse_pointer("/pk"))
    filler = b"[" + b"7," * (MAX_PARSED_BYTES // 2) + b'"\\ud800","\\udc00\\\\ud800"]'

    for key, expected in ((b'"a"', b'"a'), (b"1.5", b"1.5"), (b"null", None)):
        assert reader.read(b'{"x":%s,"pk":%s}' % (filler, key)) == expected
    for key in (b'"\\\\u0000\\ud83d\\ude00"', b'"\\ud83d\\ude00\\u0001"'):
        assert reader.read(b'{"pk":%s,"x":[%s]}' % (key, b"7," * MAX_PARSED_BYTES + b"7")) == (
            parse_key(key)
        )
    assert reader.read(filler) is None
    with pytest.raises(InvalidJson) as invalid:
        reader.read(b'{"x":%s,"pk":"1",}' % filler)
    assert invalid.value.byte == len(filler) + len('{"x":,"pk":"1",')
    with pytest.raises(InvalidJson, match="not JSON"):
        reader.read(b'{"x":%s,"pk":"1"' % filler)
    # The only string that is not read in a line of any length.
    with pytest.raises(InvalidJson, match="half a surrogate pair"):
        reader.read(b'{"x":%s,"pk":"\\ud800"}' % filler)


_ESCAPES = st.sampled_from(
    ["\\", "\\ud83d", "\\uDE00", "\\u0000", "\\uD800", "\\udfff", "\\u0061", "u0000", "x", '\\"']
)


@settings(max_examples=400)
@given(key=st.lists(_ESCAPES, max_size=6), other=st.lists(_ESCAPES, max_size=6))
def test_halves_of_surrogate_pairs_are_those_of_the_standard_library(
    key: list[str], other: list[str]
) -> None:
    line = '{{"x":"{}","pk":"{}"}}'.format("".join(other), "".join(key)).encode()
    pointer = parse_pointer("/pk")
    try:
        exact = key_of(parse_json(line), pointer)
    except InvalidJson:
        with pytest.raises(InvalidJson):
            KeyReader(pointer).read(line)
        return

    assert KeyReader(pointer).read(line) == exact
    require_json(line)


@pytest.mark.parametrize("key", [b"[1,1,1]", b'{"a":[]}', b'"a",1', b"1,1", b"[" * 2_000])
def test_a_key_is_read_without_other_json(key: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def note(text: str) -> RawNumber:
        parsed.append(text.encode())
        return RawNumber(text)

    monkeypatch.setattr(json_text, "RawNumber", note)
    monkeypatch.setattr(json_text, "_DECODER", json.JSONDecoder(parse_int=note, parse_float=note))
    with pytest.raises(ValueError, match=r"JSON|a key is"):
        parse_key(key)
    assert parsed == []


def test_elements_far_from_the_beginning_are_no_keys() -> None:
    record = b"[" + b'"x",' * (MAX_ELEMENT + 2) + b'"y"]'

    for element, expected in ((0, b'"x'), (MAX_ELEMENT, b'"x'), (MAX_ELEMENT + 1, None)):
        assert KeyReader(parse_pointer(f"/{element}")).read(record) == expected
    assert KeyReader(parse_pointer("/00")).read(record) is None


@pytest.mark.parametrize(
    "text",
    ["pk", "a/b", "/~", "/~2", "/a~", "/~~01", "/~~1", '/"', "/\\", "/\n", "/a" * (MAX_TOKENS + 1)],
)
def test_what_is_no_pointer(text: str) -> None:
    with pytest.raises(ValueError, match="JSON pointer"):
        parse_pointer(text)
