"""Parse references to exports in paths, and the positions of bad rows in cursors."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from app.exports.model import ExportStage
from app.exports.problems import ExportNotFound
from app.pagination import invalid_cursor
from app.references import parse_id

_NUMBER_BYTES: Final = 4


def parse_export_id(text: str) -> UUID:
    """Parse the id of an export. Raises ExportNotFound for any other text."""
    return parse_id(text, "an export", ExportNotFound, listed="GET /exports")


class ErrorPosition(Struct, frozen=True, kw_only=True):
    """The place of a bad row among those of its export; tasks are in the order of the input."""

    task: int = 0
    stage: str = ""
    number: int = 0

    def encode(self) -> bytes:
        """Return the position as a cursor holds it."""
        numbers = (self.task, self.number)
        return b"".join(each.to_bytes(_NUMBER_BYTES, "big") for each in numbers) + (
            self.stage.encode()
        )


def parse_position(position: bytes, cursor: str) -> ErrorPosition:
    """Parse what ErrorPosition.encode has returned. Raises InvalidRequest, naming the cursor."""
    task, number = (
        int.from_bytes(position[start : start + _NUMBER_BYTES], "big")
        for start in (0, _NUMBER_BYTES)
    )
    stage = position[2 * _NUMBER_BYTES :].decode(errors="replace")
    if stage not in list(ExportStage) or max(task, number) >= 2 ** (8 * _NUMBER_BYTES - 1):
        raise invalid_cursor(cursor)
    return ErrorPosition(task=task, stage=stage, number=number)
