"""Count what must be left of a sample once it is deduplicated, with digests."""

from collections.abc import Sequence
from hashlib import md5
from typing import Final

from msgspec import Struct

from crivo.samples.event_types import EVENT_TYPES, EventType

DIGEST: Final = (
    "The sum over all events of the lower 64 bits of the MD5 of "
    "event_id|timestamp|domain|event_type|data, each as in the files. Their order does not matter."
)
# For a timestamp without a zone, in UTC, and data as the text of its JSON.
DIGEST_IN_DUCKDB: Final = (
    "sum(md5_number_lower(concat_ws('|', event_id, "
    "strftime(\"timestamp\", '%Y-%m-%dT%H:%M:%S.%gZ'), domain, event_type, data)))"
)
_LOWER_HALF: Final = 8
_NUMBERS: Final = {each: number for number, each in enumerate(EVENT_TYPES)}


class Partition(Struct, frozen=True, kw_only=True):
    """The events of a day and type; the digest is text, since it is beyond a double's range."""

    year: int
    month: int
    day: int
    domain: str
    event_type: str
    rows: int
    digest: str


class Survivors:
    """The events that count, by day and type."""

    def __init__(self, dates: Sequence[str]) -> None:
        """Begin with none."""
        self._dates = dates
        self._rows = [[0] * len(EVENT_TYPES) for _ in dates]
        self._digests = [[0] * len(EVENT_TYPES) for _ in dates]

    def add(self, day: int, kind: EventType, text: str) -> None:
        """Count an event by its text, as of DIGEST."""
        number = _NUMBERS[kind]
        digest = md5(text.encode(), usedforsecurity=False).digest()
        self._rows[day][number] += 1
        # As DuckDB's md5_number_lower.
        self._digests[day][number] += int.from_bytes(digest[_LOWER_HALF:], "little")

    def partitions(self) -> list[Partition]:
        """List the days and types that have events."""
        return [
            Partition(
                year=int(date[:4]),
                month=int(date[5:7]),
                day=int(date[8:]),
                domain=kind.domain,
                event_type=kind.name,
                rows=rows[number],
                digest=str(digests[number]),
            )
            for date, rows, digests in zip(self._dates, self._rows, self._digests, strict=True)
            for kind, number in _NUMBERS.items()
            if rows[number]
        ]
