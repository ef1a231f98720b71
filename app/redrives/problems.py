"""Define the problems of requests for re-drives."""

from uuid import UUID

from app.errors import Problem


class RedriveNotFound(Problem):
    """The tenant has no re-drive with this id."""

    status = 404
    code = "redrive-not-found"
    title = "There is no such re-drive"


class RedriveFinished(Problem):
    """The re-drive has ended and cannot be cancelled."""

    status = 409
    code = "redrive-finished"
    title = "The re-drive has already ended"


class NothingToRedrive(Problem):
    """Nothing that matches is left to be tried."""

    status = 409
    code = "nothing-to-redrive"
    title = "Nothing can be tried again"


class TooManyToRedrive(Problem):
    """More matches than one re-drive may mark."""

    status = 409
    code = "too-many-to-redrive"
    title = "Too many dead letters match"


class CannotRedrive(Problem):
    """What matches has nowhere to go."""

    status = 409
    code = "cannot-redrive"
    title = "This cannot be tried again"


def redrive_not_found(redrive_id: UUID) -> RedriveNotFound:
    """Return the error for an id that names no re-drive of the tenant."""
    return RedriveNotFound(f"no re-drive {redrive_id}; GET /redrives lists them")


def too_many_letters(limit: int) -> TooManyToRedrive:
    """Return the error for a filter that matches more dead letters than a re-drive may mark."""
    return TooManyToRedrive(
        f"/filter: more than {limit} dead letters match, the most that a re-drive may have; "
        '"dry_run": true counts them, and `from` and `to` choose some'
    )


def nothing_to_redrive(what: str) -> NothingToRedrive:
    """Return the error for a filter that matches nothing that is free."""
    return NothingToRedrive(
        f"/filter: no {what} matches that has not been moved and is not being tried by another "
        "re-drive"
    )
