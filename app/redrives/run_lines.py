"""Read the whole lines of failed records: what the run has kept, else what the dataset has."""

from contextlib import aclosing
from typing import Final

from app.blobs import BlobMissing
from app.datasets.parts import ObjectCache, read_lines
from app.execution_errors import ErrorKind, Failure
from app.limits import KIB
from app.redrives.run_store import FailedRecord

# Of a longer one the run has kept the beginning (app/runs/record_errors.py).
_KEPT_BYTES: Final = 64 * KIB

LOST: Final = Failure(
    ErrorKind.INVALID_INPUT,
    "the record is not whole: a run keeps up to 64 KiB of one, and its line has been deleted from "
    "the dataset since",
    {},
).document()


async def read_record(cache: ObjectCache, failed: FailedRecord) -> bytes | None:
    """Return the line of a record; None: it is not there as a whole any more.

    Raises BlobsUnavailable, ObjectDamaged.
    """
    if failed.record is not None and len(failed.record) < _KEPT_BYTES:
        return failed.record
    if failed.stored is None:
        return None
    try:
        lines = read_lines(cache, failed.stored.part, failed.stored.lines_before, 1)
        async with aclosing(lines) as only:
            async for line in only:
                return line
    except BlobMissing:
        pass
    return None


def place_of(failed: FailedRecord) -> str:
    """Return the place of a record, as clients see it; of a deleted file the line alone."""
    return f"{failed.path or ''}:{failed.line}"
