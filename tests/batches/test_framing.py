"""Uploads are divided into the same inputs, byte for byte, however they arrive."""

import json
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import example, given, strategies as st

from app.batches import array_scanner, framing
from app.batches.framing import ArrayFramer, Framer, LineFramer
from app.errors import MalformedRequest

_SPACE = b" \t\r\n"
# Short bodies meet the limits too.
_LIMIT = 6
_BLANK = 64

Inputs = list[tuple[int, bytes]]


@pytest.fixture(autouse=True, scope="module")
def _low_limits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "_MAX_PENDING_BYTES", _LIMIT)
        patch.setattr(framing, "_MAX_BLANK_BYTES", _BLANK)
        patch.setattr(array_scanner, "_MAX_DEPTH", _LIMIT)
        yield


def _framed(framer: Framer, chunks: Iterable[bytes]) -> tuple[Inputs, str | None]:
    """Return the complete inputs, and what the framer has refused."""
    inputs: Inputs = []
    long: dict[int, bytes] = {}

    def _collect(fragments: Iterable[framing.Fragment]) -> None:
        for fragment in fragments:
            long[fragment.line] = long.get(fragment.line, b"") + fragment.data
            if fragment.last:
                inputs.append((fragment.line, long.pop(fragment.line)))

    try:
        for chunk in chunks:
            _collect(framer.feed(chunk))
        _collect(framer.end())
    except MalformedRequest as error:
        return inputs, str(error)
    assert not long
    return inputs, None


def _cuts(body: bytes) -> Iterator[list[bytes]]:
    """Cut a body in two at each offset, and into pieces of each size up to its own."""
    for at in range(len(body) + 1):
        yield [body[:at], body[at:]]
    for size in range(1, len(body) + 1):
        yield _pieces(body, size)


def _pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def _lines(body: bytes) -> tuple[Inputs, str | None]:
    """Divide NDJSON as the description says it, a line at a time."""
    inputs: Inputs = []
    *lines, rest = body.split(b"\n")
    for number, line in enumerate([*lines, rest], start=1):
        ends = number <= len(lines)
        if line.strip(_SPACE):
            inputs.append((number, line.removesuffix(b"\r") if ends else line))
    return inputs, None


def _elements(body: bytes) -> tuple[Inputs, str | None]:
    """Divide an array as the description says it, a byte at a time."""
    array = _Array()
    try:
        for at, byte in enumerate(body):
            array.read(at, bytes([byte]))
        array.end(len(body))
    except ValueError as error:
        return array.inputs, str(error)
    return array.inputs, None


class _Array:
    def __init__(self) -> None:
        self.inputs: Inputs = []
        self.closers: list[bytes] = []
        self.begun = False
        self._element, self._space, self._number = b"", b"", 1
        self._in_string = self._escaped = False

    def read(self, at: int, token: bytes) -> None:
        if token in _SPACE and len(self.closers) < 2 and not self._in_string:
            self._space += token
        elif not self.begun:
            if token != b"[":
                raise ValueError(f"byte {at}: the body is not a JSON array; it begins otherwise")
            self.begun, self._space, self.closers = True, b"", [b"]"]
        elif not self.closers:
            raise ValueError(f"byte {at}: the body has more after its JSON array")
        else:
            was_in_string = self._in_string
            self._read_token(at, token)
            if self.closers and (token != b"," or len(self.closers) > 1 or was_in_string):
                self._element += (self._space if self._element else b"") + token
            else:
                if self.closers or self._element or self._number > 1:
                    self.inputs.append((self._number, self._element))
                self._element, self._number = b"", self._number + 1
            self._space = b""

    def end(self, at: int) -> None:
        if self.closers or not self.begun:
            raise ValueError(f"byte {at}: the body ends before its JSON array does")

    def _read_token(self, at: int, token: bytes) -> None:
        if self._in_string:
            self._in_string = self._escaped or token != b'"'
            self._escaped = not self._escaped and token == b"\\"
        elif token in b"[{":
            if len(self.closers) == _LIMIT:
                raise ValueError(f"byte {at}: more than {_LIMIT} brackets are open")
            self.closers.append({b"[": b"]", b"{": b"}"}[token])
        elif token in b"]}":
            if token != self.closers.pop():
                raise ValueError(f"byte {at}: {token.decode()} closes a bracket of another kind")
        else:
            self._in_string = token == b'"'


_PIECES = st.lists(
    st.sampled_from(
        [*'[]{},"\\ \t\r\n1é', "\r\n", "\ufeff", '"a b"', '"\\""', "[[[[", "]]]]", "   "]
    )
)
_VALUES = st.recursive(
    st.none() | st.integers() | st.text('ab"\\[]{}, \n\té\ud800'),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
_GAPS = st.text(" \t\r\n", max_size=3)


@given(_PIECES)
@example(["1", "\r\n", " " * 8, "1" * 8, "\r\n"])
@example(["\ufeff", "1", "\r\n", "\r\n", "1"])
@example([" " * 8])
def test_lines_do_not_depend_on_chunks(pieces: list[str]) -> None:
    body = "".join(pieces).encode()
    expected = _lines(body)
    for chunks in _cuts(body):
        assert expected == _framed(LineFramer(), chunks), chunks


@given(_PIECES.map(lambda pieces: ["[", *pieces]) | _PIECES)
@example(['["a', " ", 'b"]'])
@example(["[1,2}"])
@example(["[", "[[1, 2}]", "]"])
@example(["[ 1 ", " " * 8, ",2]"])
@example(["[[1]", "  ", "]", "  ", "x"])
@example(["[[[[[[[]"])
@example(["\ufeff[1]"])
def test_elements_do_not_depend_on_chunks(pieces: list[str]) -> None:
    body = "".join(pieces).encode()
    expected = _elements(body)
    for chunks in _cuts(body):
        assert expected == _framed(ArrayFramer(), chunks), chunks


@given(
    st.lists(st.tuples(_GAPS, _VALUES, st.sampled_from([None, 1]), _GAPS), min_size=1, max_size=3)
)
def test_elements_are_kept_as_they_stand(
    elements: list[tuple[str, object, int | None, str]],
) -> None:
    texts = [json.dumps(value, indent=indent) for _, value, indent, _ in elements]
    gaps = [(before, after) for before, _, _, after in elements]
    body = ",".join(b + text + a for (b, a), text in zip(gaps, texts, strict=True))
    expected = [(number, text.encode()) for number, text in enumerate(texts, start=1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_scanner, "_MAX_DEPTH", 100)
        for chunks in _cuts(f" [{body}]\n".encode()):
            assert (expected, None) == _framed(ArrayFramer(), chunks), chunks


@pytest.mark.parametrize(
    ("framer", "before", "after", "line"),
    [
        (LineFramer, b"1\n", b"2", 2),
        (LineFramer, b"", b"1", 1),
        (ArrayFramer, b"", b"[1]", 1),
        (ArrayFramer, b"[1,[2]", b",3]", 2),
        (ArrayFramer, b'["a"', b'"b"]', 1),
        (ArrayFramer, b"[1]", b"", 2),
    ],
)
def test_space_without_inputs_is_refused_as_soon_as_it_is_long(
    framer: Callable[[], Framer], before: bytes, after: bytes, line: int
) -> None:
    space = b" \r\n" * _BLANK
    accepted = before + space[:_BLANK] + after
    refused = before + space[: _BLANK + 1] + after
    for size in range(1, _BLANK + 1):
        assert _framed(framer(), _pieces(accepted, size))[1] is None
        problem = f"line {line}: more than {_BLANK} bytes of space in a row"
        assert problem == _framed(framer(), _pieces(refused, size))[1]


@pytest.mark.parametrize("element", [b'"%b"', b"[1,%b2]"])
def test_space_within_an_element_is_its_own(element: bytes) -> None:
    text = element % (b" " * 2 * _BLANK)
    for chunks in _cuts(b"[" + text + b"]"):
        assert ([(1, text)], None) == _framed(ArrayFramer(), chunks)
