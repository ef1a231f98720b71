"""Hold the published files and parts of a dataset in columns: some 60 bytes for each part.

Published files and parts do not change, but a file can be removed, from a later snapshot on. Tables
therefore grow in place: readers of earlier snapshots see nothing of what is added.
"""

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, TypeAlias
from uuid import UUID

from app.datasets.blob_cleanup import part_key
from app.datasets.catalog_store import CatalogFile, CatalogPart
from app.datasets.parts import PartRef

# No snapshot has a number as high.
_NEVER: Final = 2**31
# About what takes memory beside the columns: the id, and its place in a dictionary.
_FILE_BYTES: Final = 250
_PART_BYTES: Final = 56
_ID_BYTES: Final = 16
# Other requests get a turn after this many files.
_TURN: Final = 256

# Numbers of parts by column, and the ids of their blobs.
Columns: TypeAlias = "tuple[list[array[int]], bytearray]"


class FileTable:
    """Files in the order in which they were published."""

    def __init__(self) -> None:
        """Begin without any."""
        self.ids: list[UUID] = []
        self.added_in = array("q")
        self.removed_in = array("q")
        self.lines = array("q")
        # The number of parts of all files before.
        self.first_part = array("q")
        self.parts = array("q")
        self._numbers: dict[UUID, int] = {}

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.ids)

    def add(self, file: CatalogFile) -> None:
        """Add a file after all others."""
        parts = self.first_part[-1] + self.parts[-1] if self.ids else 0
        self._numbers[file.id] = len(self.ids)
        self.ids.append(file.id)
        self.added_in.append(file.added_in)
        self.removed_in.append(file.removed_in or _NEVER)
        self.lines.append(file.lines)
        self.first_part.append(parts)
        self.parts.append(file.parts)

    def __contains__(self, file_id: UUID) -> bool:
        """Return whether a file is in the table."""
        return file_id in self._numbers

    def remove(self, file_id: UUID, removed_in: int) -> None:
        """Take a file out of all snapshots from a number on."""
        self.removed_in[self._numbers[file_id]] = removed_in

    def is_in(self, number: int, snapshot: int) -> bool:
        """Return whether a snapshot has the file with a number here."""
        return self.added_in[number] <= snapshot < self.removed_in[number]

    def of_part(self, at: int) -> int:
        """Return the number of the file of a part."""
        return bisect_right(self.first_part, at) - 1

    def file(self, number: int) -> CatalogFile:
        """Return a file."""
        removed_in = self.removed_in[number]
        return CatalogFile(
            id=self.ids[number],
            added_in=self.added_in[number],
            removed_in=None if removed_in == _NEVER else removed_in,
            lines=self.lines[number],
            parts=self.parts[number],
        )


class PartTable:
    """Parts in the order of their sequences, and so of their files."""

    def __init__(self, tenant: UUID) -> None:
        """Take the tenant, whose id is in the keys of all blobs."""
        self.first_line = array("q")
        self.lines = array("q")
        self._tenant = tenant
        self._sequences = array("q")
        self._raw_bytes = array("q")
        self._stored_bytes = array("q")
        self._ids = bytearray()
        self._columns = (
            self._sequences,
            self.first_line,
            self.lines,
            self._raw_bytes,
            self._stored_bytes,
        )

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self._sequences)

    def add(self, part: CatalogPart) -> None:
        """Add a part after all others."""
        self._sequences.append(part.sequence)
        self.first_line.append(part.first_line)
        self.lines.append(part.lines)
        self._raw_bytes.append(part.raw_bytes)
        self._stored_bytes.append(part.stored_bytes)
        self._ids += UUID(part.blob_key.rpartition("/")[2]).bytes

    def columns(self, first: int, last: int) -> "Columns":
        """Return the parts from place `first` up to `last`."""
        ids = self._ids[first * _ID_BYTES : last * _ID_BYTES]
        return [each[first:last] for each in self._columns], ids

    def add_columns(self, columns: "Columns") -> None:
        """Add parts of another table after all others."""
        numbers, ids = columns
        for column, more in zip(self._columns, numbers, strict=True):
            column.extend(more)
        self._ids += ids

    def find(self, sequence: int) -> int | None:
        """Return the place of a part."""
        at = bisect_left(self._sequences, sequence)
        return at if at < len(self) and self._sequences[at] == sequence else None

    def ref(self, at: int) -> PartRef:
        """Return the reference to the part at a place."""
        id_ = UUID(bytes=bytes(self._ids[at * _ID_BYTES : (at + 1) * _ID_BYTES]))
        return PartRef(
            blob_key=part_key(self._tenant, id_),
            raw_bytes=self._raw_bytes[at],
            stored_bytes=self._stored_bytes[at],
        )


class Published:
    """The published files and parts of a dataset."""

    def __init__(self, tenant: UUID) -> None:
        """Begin without any."""
        self.files = FileTable()
        self.parts = PartTable(tenant)
        self._tenant = tenant

    @property
    def size_bytes(self) -> int:
        """About how much memory they take."""
        return len(self.files) * _FILE_BYTES + len(self.parts) * _PART_BYTES

    async def extend(self, later: "Published") -> None:
        """Add files of later snapshots, with their parts, except those that are here."""
        for number in range(len(later.files)):
            if later.files.ids[number] not in self.files:
                self._copy(later, number)
            if number % _TURN == 0:
                await asyncio.sleep(0)

    async def only_of(self, snapshots: Sequence[int]) -> "Published":
        """Return the files that one of the snapshots has, whose numbers are in order."""
        kept = Published(self._tenant)
        for number in range(len(self.files)):
            at = bisect_left(snapshots, self.files.added_in[number])
            if at < len(snapshots) and snapshots[at] < self.files.removed_in[number]:
                kept._copy(self, number)
            if number % _TURN == 0:
                await asyncio.sleep(0)
        return kept

    def _copy(self, other: "Published", number: int) -> None:
        """Add a file of others after all of these."""
        first = other.files.first_part[number]
        last = first + other.files.parts[number]
        self.files.add(other.files.file(number))
        self.parts.add_columns(other.parts.columns(first, last))
