"""Cut what is kept of failed records: a run may have 100,000 of them."""

from typing import Final

from msgspec.structs import replace

from app.execution_errors import failure_of
from app.limits import KIB
from app.runs.task_store import StoredError
from app.sandbox.parts import RecordError

_KEPT_RECORD_BYTES: Final = 64 * KIB
_MAX_ERROR_BYTES: Final = 8 * KIB
# In JSON each may take twelve bytes.
_SHORT_CHARACTERS: Final = 500


def kept_error(error: RecordError) -> StoredError:
    """Return what is kept of a failed record: of a long line, or a long error, the beginning."""
    return StoredError(
        line=error.line,
        error=_document_of(error),
        record=None if error.record is None else error.record[:_KEPT_RECORD_BYTES],
    )


def _document_of(error: RecordError) -> bytes:
    failure = failure_of(error.outcome)
    assert failure is not None  # noqa: S101 - no outcome of a record is a success
    document = failure.document()
    if len(document) <= _MAX_ERROR_BYTES:
        return document
    place = {name: failure.details.get(name) for name in ("line", "column", "schema")}
    message = failure.message[:_SHORT_CHARACTERS] + "…"
    return replace(failure, message=message, details=place).document()
