"""Define the problems of requests for exports."""

from datetime import datetime
from uuid import UUID

from app.errors import Problem
from app.exports.model import ExportStatus


class ExportNotFound(Problem):
    """The tenant has no export with this id."""

    status = 404
    code = "export-not-found"
    title = "There is no such export"


class ExportFileNotFound(Problem):
    """The export has no file with this path here."""

    status = 404
    code = "export-file-not-found"
    title = "The export has no such file"


class NoExportOutput(Problem):
    """The export has finished without files."""

    status = 404
    code = "no-export-output"
    title = "The export has no output"


class ExportNotFinished(Problem):
    """The export has not finished yet."""

    status = 409
    code = "export-not-finished"
    title = "The export has not finished yet"


class ExportFinished(Problem):
    """The export has finished and cannot be cancelled."""

    status = 409
    code = "export-finished"
    title = "The export has already finished"


class ExportPublishing(Problem):
    """The destination of the export is being changed, so it cannot be cancelled."""

    status = 409
    code = "export-publishing"
    title = "The export is being published"


class ExportFilesDeleted(Problem):
    """The files of the export were deleted, all or some of them."""

    status = 410
    code = "export-files-deleted"
    title = "The files of the export are deleted"


class ExportErrorsDeleted(Problem):
    """The bad rows of the export were deleted."""

    status = 410
    code = "export-errors-deleted"
    title = "The bad rows of the export are deleted"


class CannotContinue(Problem):
    """There is no earlier export that this one could continue, or its input was not appended to."""

    status = 409
    code = "cannot-continue"
    title = "No export can be continued"


class ReplacesOtherExport(Problem):
    """The destination has an export of something else, which this one would delete."""

    status = 409
    code = "replaces-other-export"
    title = "The destination has an export of something else"


class NoExportTable(Problem):
    """A column of the export has no place in a table; `errors` has it, and why not."""

    status = 422
    code = "no-export-table"
    title = "The export is no table"


def export_not_found(export_id: UUID) -> ExportNotFound:
    """Return the error for an id that names no export of the tenant."""
    return ExportNotFound(f"no export {export_id}; GET /exports lists them")


def export_not_finished(export_id: UUID, status: ExportStatus) -> ExportNotFinished:
    """Return the error for an export that is queued or running."""
    return ExportNotFinished(
        f"the export is {status}; GET /exports/{export_id}?wait=30 waits for it",
        headers={"Retry-After": "1"},
    )


def export_publishing(export_id: UUID) -> ExportPublishing:
    """Return the error for an export that can no longer be cancelled."""
    return ExportPublishing(
        f"its destination is being changed; GET /exports/{export_id}?wait=30 waits for the end"
    )


def export_files_deleted(at: datetime) -> ExportFilesDeleted:
    """Return the error for an export whose files are no longer there."""
    return ExportFilesDeleted(
        f"files of the export were deleted at {at:%Y-%m-%dT%H:%M:%SZ}, by age or by a later export "
        "to its destination; export the snapshot again"
    )


def export_errors_deleted(at: datetime) -> ExportErrorsDeleted:
    """Return the error for an export whose bad rows are no longer there."""
    return ExportErrorsDeleted(
        f"the bad rows of the export were deleted at {at:%Y-%m-%dT%H:%M:%SZ}, by age; export the "
        "snapshot again"
    )
