"""Every accepted byte comes back, and the object depends on the bytes alone."""

import hashlib
import json
from itertools import pairwise

import pytest
import pyzstd
from hypothesis import given, settings, strategies as st

from app.blobs import open_blobs
from app.datasets.parts import BadLine, Format, PartTooLarge, Pointer, json_text, store_part
from app.datasets.parts.encoder import PartEncoder
from app.datasets.parts.frames import FRAME_BYTES
from app.datasets.parts.json_text import InvalidJson, require_shallow
from app.limits import MAX_LINE_BYTES, MAX_NESTING, MAX_PART_BYTES
from app.outages import BlobsUnavailable
from app.settings import Settings
from tests.datasets.parts.stored import PK, SEED, Parts, in_chunks

_LINE_BREAKS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n"])
_LINES = st.sampled_from(
    [
        b'{"pk":"a"}',
        b'{"pk": 1, "s": "\xc3\xa9"}',
        b'{"s":[]}',
        b"null",
        b'{"pk":"' + b"x" * (FRAME_BYTES // 3) + b'"}',
        b'{"pk":"b","s":"' + b"y" * FRAME_BYTES + b'"}',
        b'{"pk":2,"s":"' + b"z" * (2 * FRAME_BYTES) + b'"}',
    ]
)
_CONTENTS = st.builds(
    lambda lines, end: b"".join(line + after for line, after in lines) + end,
    st.lists(st.tuples(_LINES, _LINE_BREAKS), max_size=12),
    st.sampled_from([b"", b'{"pk":"end"}', b"{", b"\xff", b'{"pk":"end"}\r']),
)


def _encode(
    content: Format, key: Pointer | None, raw: bytes, cuts: list[int]
) -> tuple[bytes, PartEncoder] | tuple[int, int, str]:
    encoder = PartEncoder(content, key, SEED)
    bounds = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    try:
        encoded = [encoder.feed(raw[start:end]) for start, end in pairwise(bounds)]
        encoded.append(encoder.finish())
    except BadLine as error:
        return error.line, error.byte, error.message
    return b"".join(encoded), encoder


@settings(max_examples=150)
@given(
    content=st.sampled_from(Format),
    raw=_CONTENTS,
    cuts=st.lists(st.integers(0, 2**20), max_size=8),
)
def test_any_split_in_chunks_gives_the_same(content: Format, raw: bytes, cuts: list[int]) -> None:
    key = PK if content is Format.JSONL else None
    whole, split = _encode(content, key, raw, []), _encode(content, key, raw, cuts)

    if isinstance(whole[0], int):
        assert split == whole
        return
    assert split[0] == whole[0]
    assert pyzstd.decompress(whole[0]) == raw
    for encoder in (whole[1], split[1]):
        assert isinstance(encoder, PartEncoder)
        assert encoder.sha256 == hashlib.sha256(raw).digest()
        assert encoder.raw_bytes == len(raw)


@settings(max_examples=60)
@given(raw=_CONTENTS, data=st.data())
async def test_ranges_and_lines_are_those_of_the_raw_bytes(raw: bytes, data: st.DataObject) -> None:
    parts = Parts(open_blobs(Settings(blob_url="memory:///")))
    content = data.draw(st.sampled_from([Format.BYTES, Format.JSONL]))
    try:
        stored = await parts.add(raw, content=content)
    except BadLine:
        return
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(raw) + 2)] * 2)))
    assert await parts.bytes_of(0) == raw
    assert await parts.bytes_of(0, start, end) == raw[start:end]
    if content is Format.JSONL:
        lines = raw.split(b"\n")[: stored.lines]
        assert stored.lines == raw.count(b"\n") + (not raw.endswith(b"\n") and raw != b"")
        assert stored.ends_line == raw.endswith(b"\n")
        first, count = data.draw(st.tuples(st.integers(0, 30), st.integers(0, 30)))
        expected = [line.removesuffix(b"\r") for line in lines[first : first + count]]
        assert await parts.lines_of(0, first, count) == expected


def _bad(raw: bytes) -> tuple[int, int, str]:
    outcome = _encode(Format.JSONL, None, raw, [])
    assert _encode(Format.JSONL, PK, raw, []) == outcome
    assert isinstance(outcome[0], int)
    return outcome


_GOOD = b'{"pk":"1"}\n'


@pytest.mark.parametrize(
    ("raw", "line", "byte", "message"),
    [
        (b"\xef\xbb\xbf" + _GOOD, 1, 0, "begins with a byte-order mark"),
        (_GOOD + b'{"pk":\n', 2, 17, "not JSON: Expecting value"),
        (_GOOD + b"\n" + b'{"pk":"1",}\n', 3, 22, "not JSON: "),
        (_GOOD + b'{"a":1} {"a":2}\n', 2, 19, "not JSON: Extra data"),
        (_GOOD + b'{"a":01}\n', 2, 17, "not JSON: "),
        (_GOOD + b'{"a":NaN}\n', 2, 11, "not JSON: NaN"),
        (_GOOD + b'{"a":"\t"}\n', 2, 17, "not JSON: Invalid control character"),
        (_GOOD + b'{"\xc3\xa9":x}\n', 2, 17, "not JSON: Expecting value"),
        (_GOOD + b'{"a":"\xff"}\n', 2, 17, "not UTF-8"),
        (_GOOD + b'{"a":"\xc3\n"}\n', 2, 17, "not UTF-8"),
        # Each line of the two would be part of one valid text.
        (_GOOD + b'{"a":[1,\n2]}\n{"a":1},{"a":2}\n', 2, 19, "not JSON: Expecting value"),
        (_GOOD + b"[" * 10_000 + b"]" * 10_000, 2, 11, "nested too deeply"),
        (_GOOD + b'{"a":' * 501 + b"1" + b"}" * 501, 2, 11, "nested too deeply"),
        # The first of two that are bad.
        (_GOOD + b"[" * 501 + b"]" * 501 + b"\n{", 2, 11, "nested too deeply"),
        (_GOOD + b'{"a":"\xe2\x82' + b"x" * 70_000, 2, 17, "not UTF-8"),
        (_GOOD + b'{"a":"' + b"x" * 65_528 + b'\xe2\x82\xac\xe2\x82"}', 2, 65_548, "not UTF-8"),
        (_GOOD + b"\x00\n", 2, 11, "not JSON: "),
        (_GOOD + b"\x0b\n", 2, 11, "not JSON: "),
    ],
)
def test_a_bad_line_is_named(raw: bytes, line: int, byte: int, message: str) -> None:
    assert _bad(raw)[:2] == (line, byte)
    assert _bad(raw)[2].startswith(message)


@settings(max_examples=100)
@given(
    levels=st.integers(MAX_NESTING - 1, MAX_NESTING + 2),
    text=st.text(st.sampled_from('["\\\\]{}'), max_size=9).map(json.dumps),
    padding=st.integers(0, 9),
)
def test_nesting_is_counted_outside_of_strings(levels: int, text: str, padding: int) -> None:
    begin, end = '[["]["],{"a{":' * (levels // 2), "}]" * (levels // 2)
    if levels % 2:
        begin, end = begin + "[", "]" + end
    filler = '"' + "[" * 600 + '"'
    line = f"[{' ' * padding}{text},{filler},{text}]"
    # The strings before the nesting are cut at any place.
    deep = line[:-1] + f",{begin}{text}{end}]"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_STEP_BYTES", 7)
        require_shallow(line.encode())
        if levels + 1 > MAX_NESTING:
            with pytest.raises(InvalidJson, match="nested too deeply"):
                require_shallow(deep.encode())
        else:
            require_shallow(deep.encode())


def test_a_line_has_at_most_16_mib() -> None:
    longest = b'"' + b"x" * (MAX_LINE_BYTES - 2) + b'"'
    for accepted in (longest, longest + b"\n", _GOOD + longest + b"\n" + _GOOD):
        assert isinstance(_encode(Format.JSONL, None, accepted, [])[0], bytes)
    for refused in (b" " + longest, _GOOD + longest + b" \n" + _GOOD):
        lines = refused.startswith(_GOOD) + 1
        expected = (lines, (lines - 1) * len(_GOOD), "longer than 16 MiB")
        assert _encode(Format.TEXT, None, refused, []) == expected
    assert isinstance(_encode(Format.BYTES, None, b" " + longest, [])[0], bytes)


def test_a_part_has_a_largest_size() -> None:
    encoder = PartEncoder(Format.BYTES, None, SEED)
    encoder.feed(bytes(MAX_PART_BYTES))
    with pytest.raises(PartTooLarge):
        encoder.feed(b"1")


@pytest.mark.parametrize(
    ("raw", "lines", "records", "missing", "duplicates"),
    [
        (b"", 0, 0, 0, 0),
        (b"\n\r\n \t\r\n", 3, 0, 0, 0),
        (b'{"pk":"1"}', 1, 1, 0, 0),
        (b'{"pk":"1"}\r\n\r\n{"pk":"1"}\r\n', 3, 2, 0, 1),
        (b'{"pk":null}\n{"pk":[]}\n{"pk":true}\n{}\n7\n', 5, 5, 5, 0),
        (b'{"pk":1}\n{"pk":"1"}\n{"pk":1.0}\n{"pk":"\\u0031"}\n', 4, 4, 0, 1),
        (b'{"pk":"\\ud800"}\n{"a":"\\ud800"}\n{"pk":"\\ud800"}\n', 3, 3, 1, 1),
    ],
)
async def test_lines_records_missing_keys_and_duplicates_are_counted(
    parts: Parts, raw: bytes, lines: int, records: int, missing: int, duplicates: int
) -> None:
    stored = await parts.add(raw, chunk_bytes=3)

    counted = (stored.lines, stored.records, stored.missing_keys, stored.duplicates)
    assert counted == (lines, records, missing, duplicates)
    assert await parts.bytes_of(0) == raw
    assert (stored.index_bytes > 0) == (records > missing)


async def test_a_part_whose_index_cannot_be_stored_leaves_nothing(parts: Parts) -> None:
    with pytest.raises(BlobsUnavailable):
        # A file has no files below it.
        await store_part(
            in_chunks(_GOOD),
            format=Format.JSONL,
            key=PK,
            seed=SEED,
            blobs=parts.blobs,
            part_key="t/datasets/0",
            index_key="t/datasets/0/index",
        )

    assert [page async for page in parts.blobs.pages(size=10)] in ([], [[]])


async def test_a_part_that_is_refused_leaves_nothing(parts_anywhere: Parts) -> None:
    with pytest.raises(BadLine):
        await parts_anywhere.add(_GOOD * 100_000 + b"{")

    assert [page async for page in parts_anywhere.blobs.pages(size=10)] in ([], [[]])
