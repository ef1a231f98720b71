"""Define the problems that requests for datasets can end in."""

from uuid import UUID

from app.errors import Problem, clipped


class DatasetNotFound(Problem):
    """No dataset of this tenant has this name."""

    status = 404
    code = "dataset-not-found"
    title = "There is no such dataset"


class SnapshotNotFound(Problem):
    """The dataset has no such snapshot."""

    status = 404
    code = "snapshot-not-found"
    title = "The dataset has no such snapshot"


class FileNotInSnapshot(Problem):
    """The snapshot has no file with this path."""

    status = 404
    code = "file-not-found"
    title = "The snapshot has no such file"


class RecordNotFound(Problem):
    """No record of the snapshot has this key."""

    status = 404
    code = "record-not-found"
    title = "The snapshot has no such record"


class UploadNotFound(Problem):
    """No upload of this tenant has this id; an expired one is deleted."""

    status = 404
    code = "upload-not-found"
    title = "There is no such upload"


class DatasetDiffers(Problem):
    """The dataset exists with another format, key or schema, which do not change."""

    status = 409
    code = "dataset-differs"
    title = "The dataset has another format, key or schema"


class NewestSnapshot(Problem):
    """The snapshot is the newest one, which stays as long as the dataset."""

    status = 409
    code = "newest-snapshot"
    title = "The newest snapshot cannot be deleted"


class ReadByRun(Problem):
    """A run that has not ended reads the snapshot, which stays as long."""

    status = 409
    code = "read-by-run"
    title = "A run reads the snapshot"

    def __init__(self, detail: str, *, run: UUID) -> None:
        """Name the run, which can be cancelled."""
        super().__init__(f"{detail}; POST /runs/{run}/cancel ends it", members={"run": str(run)})


class ReadByExport(Problem):
    """An export that has not ended reads the snapshot, which stays as long."""

    status = 409
    code = "read-by-export"
    title = "An export reads the snapshot"

    def __init__(self, detail: str, *, export: UUID) -> None:
        """Name the export, which can be cancelled."""
        super().__init__(
            f"{detail}; POST /exports/{export}/cancel ends it", members={"export": str(export)}
        )


class UploadCommitted(Problem):
    """The upload is committed, and takes no more parts."""

    status = 409
    code = "upload-committed"
    title = "The upload is committed"


class UploadFull(Problem):
    """The upload holds as many files as one commit can name."""

    status = 409
    code = "upload-full"
    title = "The upload takes no more files"


class PartDiffers(Problem):
    """The upload holds this part with other bytes."""

    status = 409
    code = "part-differs"
    title = "The part was sent with other bytes before"


class DatasetWithoutRecords(Problem):
    """The dataset has no lines, or no key, to find records by."""

    status = 409
    code = "dataset-without-records"
    title = "The dataset has no such records"


class PartOverLimit(Problem):
    """The part has more bytes or records than a part can have, however it is compressed."""

    status = 413
    code = "part-too-large"
    title = "The part is too large"


class InvalidPart(Problem):
    """A line of the part is not what the dataset's format requires."""

    status = 422
    code = "invalid-part"
    title = "The data has an invalid line"


class InvalidRecords(Problem):
    """Records of the part do not satisfy the dataset's schema; `errors` has the first of them."""

    status = 422
    code = "invalid-records"
    title = "Records do not satisfy the schema of the dataset"


class UncheckedPart(Problem):
    """The part could not be checked against the schema within the limits of a check."""

    status = 422
    code = "unchecked-part"
    title = "The records cannot be checked"


class UnusableKeys(Problem):
    """The keys of the part have been chosen so that an index of them is slow."""

    status = 422
    code = "unusable-keys"
    title = "The keys of the data cannot be indexed"


class CommitDiffers(Problem):
    """The commit names other files or parts than the upload holds."""

    status = 422
    code = "commit-differs"
    title = "The upload does not hold what the commit names"


class LongLineTooSlow(Problem):
    """A long line of the data has kept the long lines of other uploads waiting."""

    status = 503
    code = "line-too-slow"
    title = "A long line took too long to arrive"

    def __init__(self, detail: str) -> None:
        """Ask for a retry after a second."""
        super().__init__(detail, headers={"Retry-After": "1"})


def dataset_not_found(name: str) -> DatasetNotFound:
    """Name a missing dataset."""
    return DatasetNotFound(
        f"no dataset {clipped(name)!r}; GET /datasets lists them, PUT /datasets/{clipped(name)} "
        "creates one"
    )


def snapshot_not_found(name: str, number: int | None) -> SnapshotNotFound:
    """Name a missing snapshot; None stands for the newest one."""
    if number is None:
        return SnapshotNotFound(
            f"the dataset {name!r} has no snapshot yet; PUT /datasets/{name}/files/<path> "
            "publishes one"
        )
    return SnapshotNotFound(
        f"the dataset {name!r} has no snapshot {number}; GET /datasets/{name}/snapshots lists them"
    )


def upload_not_found(upload_id: UUID | str) -> UploadNotFound:
    """Name a missing upload."""
    return UploadNotFound(
        f"no upload {clipped(str(upload_id))}; an upload that gets no parts expires, and "
        "POST /datasets/<dataset>/uploads begins another"
    )


def invalid_part(line: int, byte: int, message: str) -> InvalidPart:
    """Say which line is not what the format requires, from 1, and where it is, from byte 0."""
    fault = {"pointer": "", "line": line, "byte": byte, "message": message}
    return InvalidPart(f"line {line}, at byte {byte}: {message}", errors=[fault])


def with_hint(error: InvalidPart, hint: str) -> InvalidPart:
    """Return an error with a hint at what may be its cause, if there is one."""
    return InvalidPart(f"{error.detail}; {hint}", errors=error.errors) if hint else error


def later_records(error: InvalidRecords, *, lines: int) -> InvalidRecords:
    """Return an error of a part with the lines of the whole file; `lines` are before the part."""
    errors = [{**fault, "line": int(str(fault["line"])) + lines} for fault in error.errors]
    old, new = f"line {error.errors[0]['line']}", f"line {errors[0]['line']}"
    return InvalidRecords(error.detail.replace(old, new, 1), errors=errors, members=error.members)


def later_in_file(error: InvalidPart, *, lines: int, size_bytes: int) -> InvalidPart:
    """Return an error of a part with the line and byte of the whole file.

    `lines` and `size_bytes` are those before the part.
    """
    [fault] = error.errors
    line, byte = int(str(fault["line"])) + lines, int(str(fault["byte"])) + size_bytes
    return invalid_part(line, byte, str(fault["message"]))
