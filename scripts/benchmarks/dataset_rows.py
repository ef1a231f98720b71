"""Make the rows of the datasets benchmark: `{"pk": "123", "score": "100"}`, as files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

# Coprime to any count that it does not divide: it visits every row once, in no order.
_STRIDE: Final = 2_654_435_761
_SCORES: Final = 101


class Rows(Struct, frozen=True, kw_only=True):
    """Rows with the keys from 0 up to `count`: sorted by key, or in no order.

    `more` are further members of each, after a comma.
    """

    count: int
    shuffled: bool = False
    version: int = 0
    more: bytes = b""

    def keys(self) -> Iterator[int]:
        """Yield the keys in the order of the rows."""
        if not self.shuffled:
            return iter(range(self.count))
        return (number * _STRIDE % self.count for number in range(self.count))

    def key(self, number: int) -> int:
        """Return the key of a row."""
        return number * _STRIDE % self.count if self.shuffled else number

    def score(self, key: int) -> int:
        """Return the score of a key, which looks random."""
        return ((key + self.version * 7_919) * 2_654_435_761 >> 7) % _SCORES

    def line(self, key: int) -> bytes:
        """Return the row of a key as JSON."""
        return b'{"pk": "%d", "score": "%d"%b}' % (key, self.score(key), self.more)

    def lines(self, numbers: range) -> bytes:
        """Return some rows as JSON lines."""
        return b"".join([self.line(self.key(number)) + b"\n" for number in numbers])

    def parts(self, part_bytes: int) -> Iterator[bytes]:
        """Yield the rows as JSON lines, about `part_bytes` at a time."""
        lines: list[bytes] = []
        size = 0
        for key in self.keys():
            line = self.line(key) + b"\n"
            lines.append(line)
            size += len(line)
            if size >= part_bytes:
                yield b"".join(lines)
                lines, size = [], 0
        if lines:
            yield b"".join(lines)

    def write(self, *, json_lines: Path, tsv: Path) -> int:
        r"""Write the rows as JSON lines, and as `\copy` reads them; return the size as JSON."""
        size = 0
        with json_lines.open("wb") as first, tsv.open("wb") as second:
            for key in self.keys():
                line = self.line(key)
                size += first.write(line + b"\n")
                second.write(b"%d\t%s\n" % (key, line))
        return size
