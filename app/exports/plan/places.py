"""Find lines by their numbers among all records of the sources."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.exports.plan.model import SourceFile

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BLANK: Final = b" \t\r\n"
_MAGICS: Final = ((0xFD2FB528).to_bytes(4, "little"), (0x184D2A5D).to_bytes(4, "little"))


class Place(Struct, frozen=True):
    """A record: its number, its file and its line there, and its bytes."""

    ordinal: int
    path: str
    line: int
    record: bytes


def places_of(sources: Sequence[SourceFile], ordinals: Iterable[int]) -> Iterator[Place]:
    """Yield the places of records, whose numbers rise; blank lines are no records."""
    wanted = iter(ordinals)
    target = next(wanted, None)
    ordinal = 0
    for source in sources:
        for number, line in enumerate(_lines(source.local), source.first_line):
            if target is None:
                return
            record = line.strip(_BLANK)
            if not record:
                continue
            if ordinal == target:
                yield Place(ordinal, source.path, number, record)
                target = next(wanted, None)
            ordinal += 1


def _lines(local: str) -> Iterator[bytes]:
    with zstd.open(local) if is_zstd(local) else Path(local).open("rb") as file:
        yield from file


def is_zstd(local: str) -> bool:
    """Return whether a file begins with a frame of Zstandard, or a skippable one."""
    with Path(local).open("rb") as file:
        return file.read(len(_MAGICS[0])) in _MAGICS
