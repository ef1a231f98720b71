"""Define the problems that requests for scripts can end in."""

from uuid import UUID

from app.errors import Problem


class ScriptNotFound(Problem):
    """No script of this tenant has this id or name."""

    status = 404
    code = "script-not-found"
    title = "There is no such script"


class VersionNotFound(Problem):
    """The script has no such version or alias."""

    status = 404
    code = "version-not-found"
    title = "The script has no such version"


class NameTaken(Problem):
    """Another script of this tenant, archived or not, has this name."""

    status = 409
    code = "name-taken"
    title = "A script with this name exists already"


class ScriptArchived(Problem):
    """The script is archived: it can be read, but not run or changed."""

    status = 409
    code = "script-archived"
    title = "The script is archived"


class NoProcess(Problem):
    """The version has no `process`: it runs over datasets only."""

    status = 422
    code = "no-process"
    title = "The script has no `process`"


class InvalidScript(Problem):
    """The source has errors; `errors` holds the findings."""

    status = 422
    code = "invalid-script"
    title = "The script has errors"


class SourceTooLarge(Problem):
    """The source exceeds its size limit."""

    status = 413
    code = "source-too-large"
    title = "The source is too large"


class PromotionRefused(Problem):
    """The comparison that a move of an alias depends on does not permit it."""

    status = 409
    code = "promotion-refused"
    title = "The comparison does not permit to move the alias"


def script_not_found(script: UUID | str) -> ScriptNotFound:
    """Name a missing script."""
    return ScriptNotFound(f"no script {str(script)!r}; GET /scripts lists them")


def version_not_found(script: str, selector: int | str) -> VersionNotFound:
    """Name a missing version or alias."""
    address = f"/scripts/{script}/{'versions' if isinstance(selector, int) else 'aliases'}"
    return VersionNotFound(
        f"the script {script!r} has no version {selector!r}; GET {address} lists them"
    )


def no_process(script: UUID | str, version: int) -> NoProcess:
    """Say that a version takes no executions, and what it is for."""
    return NoProcess(
        f"version {version} of the script {str(script)!r} has no `process`, which executions call: "
        "it runs over datasets; POST /runs"
    )


def script_archived(script: UUID | str, consequence: str) -> ScriptArchived:
    """Say that a script is archived, what follows from it, and how to restore the script."""
    return ScriptArchived(
        f"the script {str(script)!r} is archived and {consequence}; PATCH /scripts/{script} with "
        '{"archived": false} takes it out of the archive'
    )
