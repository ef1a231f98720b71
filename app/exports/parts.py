"""Divide what an export reads among its first tasks."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.exports.task_inputs import PartRange
from app.limits import (
    EXPORT_BUCKET_BYTES,
    EXPORT_TASK_BYTES,
    MAX_EXPORT_BUCKETS,
)


class ReadParts(PartRange, frozen=True, kw_only=True):
    """Consecutive parts of a file, and their raw bytes."""

    raw_bytes: int

    def range(self) -> PartRange:
        """Return them as a task names them."""
        return PartRange(
            file_id=self.file_id,
            path=self.path,
            first_part=self.first_part,
            last_part=self.last_part,
            first_line=self.first_line,
        )


class Share(Struct, frozen=True, kw_only=True):
    """What one task reads."""

    ranges: Sequence[PartRange]
    raw_bytes: int


def whole(parts: Sequence[ReadParts]) -> Share:
    """Give everything to one task."""
    return Share(ranges=_joined(parts), raw_bytes=sum(each.raw_bytes for each in parts))


def shares(parts: Sequence[ReadParts]) -> list[Share]:
    """Give each task consecutive parts of EXPORT_TASK_BYTES, or one that has more."""
    found: list[Share] = []
    taken: list[ReadParts] = []
    taken_bytes = 0
    for each in parts:
        if taken and taken_bytes + each.raw_bytes > EXPORT_TASK_BYTES:
            found.append(whole(taken))
            taken, taken_bytes = [], 0
        taken.append(each)
        taken_bytes += each.raw_bytes
    return [*found, whole(taken)] if taken else found


def buckets_of(raw_bytes: int) -> int:
    """Return how many tasks compare rows by key, each those of some hashes."""
    return min(MAX_EXPORT_BUCKETS, max(1, -(-raw_bytes // EXPORT_BUCKET_BYTES)))


def _joined(parts: Sequence[ReadParts]) -> list[PartRange]:
    """Join ranges that continue each other, and keep the order."""
    found: list[PartRange] = []
    for each in parts:
        last = found[-1] if found else None
        if last and last.file_id == each.file_id and last.last_part + 1 == each.first_part:
            found[-1] = replace(last, last_part=each.last_part)
        else:
            found.append(each.range())
    return found
