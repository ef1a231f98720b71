"""Write errors as JSON for programs."""

from crivo.errors import (
    CrivoError,
    ExportCancelled,
    ExportFailed,
    NoResult,
    NotFinished,
    NotPublished,
    Refused,
    RunCancelled,
    RunFailed,
)


def as_document(error: CrivoError) -> dict[str, object]:
    """Return an error as JSON members for programs."""
    members: dict[str, object] = {"error": type(error).__name__, "message": str(error)}
    if error.idempotency_key is not None:
        members["idempotency_key"] = error.idempotency_key
    if isinstance(error, Refused):
        members["problem"] = error.problem
    if isinstance(error, NoResult):
        members["execution"] = error.execution
    if isinstance(error, RunFailed | RunCancelled):
        members["run"] = error.run
    if isinstance(error, ExportFailed | ExportCancelled):
        members["export"] = error.export
    if isinstance(error, NotFinished):
        members["resource"] = error.resource
    if isinstance(error, NotPublished):
        members |= {
            "bad_lines": error.bad_lines,
            "bad_line_count": error.bad_line_count,
            "changed": error.changed,
        }
    return members
