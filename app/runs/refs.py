"""Parse references to runs in paths, and the positions of failed records in cursors."""

from uuid import UUID

from msgspec import Struct

from app.pagination import invalid_cursor
from app.references import parse_id
from app.runs.problems import RunNotFound
from app.sandbox.parts import Task

_PART_BYTES = 4
_LINE_BYTES = 8
_NUMBER_BYTES = 4


def parse_run_id(text: str) -> UUID:
    """Parse the id of a run. Raises RunNotFound for any other text."""
    return parse_id(text, "a run", RunNotFound, listed="GET /runs")


class ErrorPosition(Struct, frozen=True, kw_only=True):
    """The place of a failed record among those of its run; parts are in the order of the input."""

    part: int = 0
    line: int = 0
    task: str = ""
    number: int = 0

    def encode(self) -> bytes:
        """Return the position as a cursor holds it."""
        return (
            self.part.to_bytes(_PART_BYTES, "big")
            + self.line.to_bytes(_LINE_BYTES, "big")
            + self.number.to_bytes(_NUMBER_BYTES, "big")
            + self.task.encode()
        )


def parse_position(position: bytes, cursor: str) -> ErrorPosition:
    """Parse what ErrorPosition.encode has returned. Raises InvalidRequest, naming the cursor."""
    line_at, number_at = _PART_BYTES, _PART_BYTES + _LINE_BYTES
    task_at = number_at + _NUMBER_BYTES
    numbers = [
        int.from_bytes(position[start:end], "big")
        for start, end in ((0, line_at), (line_at, number_at), (number_at, task_at))
    ]
    task = position[task_at:].decode(errors="replace")
    if task not in list(Task) or any(
        number >= 2 ** (8 * size - 1)
        for number, size in zip(numbers, (_PART_BYTES, _LINE_BYTES, _NUMBER_BYTES), strict=True)
    ):
        raise invalid_cursor(cursor)
    part, line, number = numbers
    return ErrorPosition(part=part, line=line, task=task, number=number)
