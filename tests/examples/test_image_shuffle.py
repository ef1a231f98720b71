"""The example of images: what it writes is a PNG with the same pixels in another order."""

import struct
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest
from msgspec import Struct

from tests.support.system import ROOT, System

EXAMPLE: Final = ROOT / "examples" / "image-shuffle"
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PALETTE: Final = b"PLTE", bytes(range(256)) * 3


class Image(Struct, frozen=True):
    """A PNG as this test's own decoder reads it: no code of the script has a part in it."""

    width: int
    height: int
    colour: int
    chunks: dict[bytes, bytes]
    pixels: list[bytes]


@pytest.fixture(scope="module")
def script(system: System) -> str:
    answer = system.client.post(
        "/scripts",
        data={"name": "shuffle", "io": "bytes"},
        files={"file": (EXAMPLE / "script.js").read_bytes()},
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["warnings"] == []
    return "shuffle"


def test_the_image_of_the_example(system: System, script: str) -> None:
    original = (EXAMPLE / "image.png").read_bytes()
    shuffled = _shuffled(system, script, original, seed=7)
    before, after = _read(original), _read(shuffled)
    assert (after.width, after.height, after.colour) == (before.width, before.height, before.colour)
    assert Counter(after.pixels) == Counter(before.pixels)
    assert after.pixels != before.pixels
    # The seed decides.
    assert _shuffled(system, script, original, seed=7) == shuffled
    assert _shuffled(system, script, original, seed=8) != shuffled
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert f'"bytes": {len(shuffled)},' in readme


@pytest.mark.parametrize("colour", CHANNELS)
def test_every_colour_type_and_filter(system: System, script: str, colour: int) -> None:
    row_bytes = 23 * CHANNELS[colour]
    rows = [bytes((7 * x * y + x) % 251 for x in range(row_bytes)) for y in range(10)]
    more = [PALETTE, (b"tRNS", b"\0\x80")] if colour == 3 else [(b"tEXt", b"a\0b")]
    # Stored, fixed and dynamic blocks, in several chunks.
    for level, strategy in ((0, 0), (9, zlib.Z_FIXED), (9, zlib.Z_DEFAULT_STRATEGY)):
        packer = zlib.compressobj(level, strategy=strategy)
        data = packer.compress(_filtered(rows, CHANNELS[colour])) + packer.flush()
        png = _png(23, 10, colour, [*more, (b"IDAT", data[:30]), (b"IDAT", data[30:])])
        image = _read(_shuffled(system, script, png))
        expected = Counter(pixel for row in rows for pixel in _pixels(row, CHANNELS[colour]))
        assert Counter(image.pixels) == expected
        assert image.chunks.get(b"tRNS") == (b"\0\x80" if colour == 3 else None)
        assert (image.chunks.get(b"PLTE") is None) == (colour != 3)


PIXEL: Final = (b"IDAT", zlib.compress(b"\0\1\2\3"))
NO_IMAGES: Final[dict[str, Callable[[], bytes]]] = {
    "the input is not a PNG": lambda: b"GIF89a",
    "16 bits a sample": lambda: _png(1, 1, 2, [PIXEL], depth=16),
    "interlaced": lambda: _png(1, 1, 2, [PIXEL], interlace=1),
    "no colour type 5": lambda: _png(1, 1, 5, [PIXEL]),
    "the PNG is empty": lambda: _png(0, 1, 2, [PIXEL]),
    "more than 50000000 pixels": lambda: _png(2**31 - 1, 2**31 - 1, 2, [PIXEL]),
    "no palette": lambda: _png(1, 1, 3, [PIXEL]),
    "no pixels": lambda: _png(1, 1, 2, []),
    "ends within a chunk": lambda: _png(1, 1, 2, [PIXEL])[:-1],
    "checksum of the PNG's chunk IHDR": lambda: SIGNATURE + b"\0\0\0\0IHDR" + b"\0\0\0\0",
    "fewer pixels": lambda: _png(2, 1, 2, [PIXEL]),
    "more pixels": lambda: _png(1, 1, 0, [PIXEL]),
    "not in zlib's format": lambda: _png(1, 1, 2, [(b"IDAT", b"\0\0\0")]),
    "end too early": lambda: _png(1, 1, 2, [(b"IDAT", PIXEL[1][:5])]),
    "checksum of the PNG's pixels": lambda: _png(1, 1, 2, [(b"IDAT", PIXEL[1][:-1] + b"!")]),
    "unknown filter 9": lambda: _png(1, 1, 2, [(b"IDAT", zlib.compress(b"\x09\1\2\3"))]),
    "chunk CRIT of an unknown kind": lambda: _png(1, 1, 2, [(b"CRIT", b""), PIXEL]),
}


def test_what_it_cannot_read_is_said(system: System, script: str) -> None:
    for message, image in NO_IMAGES.items():
        execution = system.run(script, image())
        assert message in execution["error"]["message"]


def _shuffled(system: System, script: str, png: bytes, *, seed: int = 1) -> bytes:
    location = system.submit(script, png, seed=seed)
    execution = system.finished(location)
    assert execution["status"] == "succeeded", execution.get("error")
    answer = system.client.get(execution["result_url"])
    assert answer.headers["Content-Type"] == "image/png"
    return answer.content


def _png(
    width: int,
    height: int,
    colour: int,
    chunks: list[tuple[bytes, bytes]],
    *,
    depth: int = 8,
    interlace: int = 0,
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def _filtered(rows: list[bytes], channels: int) -> bytes:
    """Filter each row by one of the five filters in turn."""
    written = bytearray()
    above = bytes(len(rows[0]))
    for y, row in enumerate(rows):
        kind = y % 5
        written.append(kind)
        for x, value in enumerate(row):
            left = row[x - channels] if x >= channels else 0
            corner = above[x - channels] if x >= channels else 0
            written.append((value - _predicted(kind, left, above[x], corner)) % 256)
        above = row
    return bytes(written)


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        estimate = left + up - corner
        return min((left, up, corner), key=lambda each: abs(estimate - each))
    return (0, left, up, (left + up) // 2)[kind]


def _pixels(row: bytes, channels: int) -> list[bytes]:
    return [row[x : x + channels] for x in range(0, len(row), channels)]


def _read(png: bytes) -> Image:
    """Read a PNG."""
    assert png.startswith(SIGNATURE)
    chunks: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at < len(png):
        (length,), name = struct.unpack_from(">I", png, at), png[at + 4 : at + 8]
        data = png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(name + data),)
        chunks[name] = chunks.get(name, b"") + data
        at += 12 + length
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, *rest) == (8, 0, 0, 0)
    data, step = zlib.decompress(chunks[b"IDAT"]), width * CHANNELS[colour] + 1
    assert len(data) == step * height
    row, pixels = bytearray(step - 1), []
    for y in range(height):
        above, row = row, bytearray(data[y * step + 1 : (y + 1) * step])
        for x in range(len(row)):
            back = x - CHANNELS[colour]
            left, corner = (row[back], above[back]) if back >= 0 else (0, 0)
            row[x] = (row[x] + _predicted(data[y * step], left, above[x], corner)) % 256
        pixels += _pixels(bytes(row), CHANNELS[colour])
    return Image(width, height, colour, chunks, pixels)
