"""Define the problems of requests for batches."""

from app.errors import Problem


class BatchNotFound(Problem):
    """The tenant has no batch with this id."""

    status = 404
    code = "batch-not-found"
    title = "There is no such batch"


class BatchFinished(Problem):
    """Every item of the batch has finished; it cannot be cancelled."""

    status = 409
    code = "batch-finished"
    title = "The batch has already finished"


class TooManyItems(Problem):
    """The upload has more inputs than a batch may have."""

    status = 413
    code = "too-many-items"
    title = "The batch has too many inputs"


class EmptyBatch(Problem):
    """The upload has no input."""

    status = 422
    code = "empty-batch"
    title = "The batch has no inputs"


class BatchOfBytes(Problem):
    """The version takes bytes, of which an upload of lines has none."""

    status = 422
    code = "batch-of-bytes"
    title = "The version takes bytes, which a batch cannot hold"

    def __init__(self) -> None:
        """Say what to do instead."""
        super().__init__(
            "/script: the version has `io` `bytes`; send each input as the body of "
            "POST /scripts/{script}/executions"
        )


class UploadLost(Problem):
    """PostgreSQL has lost inputs of an upload that was not accepted yet."""

    status = 503
    code = "upload-lost"
    title = "The upload has to be repeated"

    def __init__(self) -> None:
        """Ask for a retry after a second."""
        super().__init__(
            "PostgreSQL was restarted during the upload, of which nothing is kept; send it again",
            headers={"Retry-After": "1"},
        )
