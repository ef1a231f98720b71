"""Errors that the client raises, all of them `CrivoError`."""

from typing import Final

from msgspec import Struct

from crivo.dataset_models import BadLine, Totals
from crivo.export_models import Export, place_of
from crivo.models import Execution, Response
from crivo.run_models import Run
from crivo.script_models import Finding

PROBLEM: Final = "urn:crivo:problem:"


class CrivoError(Exception):
    """The base of all errors; its text is for a user.

    `retry_after` is the number of seconds after which the service suggests another attempt.
    `idempotency_key` is that of a request which may have been carried out all the same: repeated
    with this key, it is carried out once.
    """

    retry_after: float | None = None
    idempotency_key: str | None = None


class InvalidUrl(CrivoError, ValueError):
    """The URL of the service cannot be used."""


class InvalidKey(CrivoError, ValueError):
    """The text cannot be a key; its error does not repeat it."""


class InvalidSource(CrivoError, ValueError):
    """What is to be sent to a dataset cannot be: there is nothing, or a name is not UTF-8."""


class EmptyName(CrivoError, ValueError):
    """An id or a name is empty: nothing was requested."""


class NothingToSend(InvalidSource):
    """There are no files, or none that is new."""


class NothingNew(NothingToSend):
    """All files were sent before, and have not changed since."""


class SendInProgress(CrivoError):
    """Another process sends the same directory to the same dataset."""


class NotPublished(CrivoError):
    """Files of a directory cannot be published, and therefore none of them was.

    `bad_lines` has the first bad lines of each part that was refused, `bad_line_count` is the
    number of all that the service has counted, `changed` the paths of files that changed while they
    were sent. The rest is held by the service for the next attempt.
    """

    def __init__(
        self,
        message: str,
        *,
        bad_lines: list[BadLine],
        bad_line_count: int,
        changed: list[str],
        totals: Totals,
    ) -> None:
        """Keep what is wrong, and what was sent."""
        super().__init__(message)
        self.bad_lines = bad_lines
        self.bad_line_count = bad_line_count
        self.changed = changed
        self.totals = totals


class Unreachable(CrivoError):
    """The service could not be reached, or the connection was lost.

    `may_have_arrived` tells whether the request may have been carried out, `may_pass` whether
    another attempt may succeed.
    """

    def __init__(
        self, message: str, *, may_have_arrived: bool = False, may_pass: bool = True
    ) -> None:
        """Describe the failure."""
        super().__init__(message)
        self.may_have_arrived = may_have_arrived
        self.may_pass = may_pass


class UnexpectedResponse(CrivoError):
    """Something other than Crivo's API responded, such as a proxy."""

    def __init__(self, message: str, *, status: int) -> None:
        """Keep the status."""
        super().__init__(message)
        self.status = status


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One invalid place of a request: a JSON pointer or a parameter, or a place in a script."""

    message: str = ""
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None
    column: int | None = None
    byte: int | None = None
    code: str | None = None
    excerpt: str | None = None
    keyword: str | None = None
    direction: str | None = None
    kind: str | None = None


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457) as the API sends it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None
    warnings: list[Fault] | None = None
    quota: str | None = None
    limit: int | None = None
    used: int | None = None
    request_id: str | None = None


class Refused(CrivoError):
    """The API refused a request; subclasses tell the reasons apart, `code` is stable."""

    def __init__(self, problem: Problem, *, invalid_records: int | None = None) -> None:
        """Keep the document, and of records how many are invalid, if it says so."""
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.invalid_records = invalid_records

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def code(self) -> str:
        """The type without its prefix, such as `script-not-found`."""
        return self.problem.type.removeprefix(PROBLEM)

    @property
    def request_id(self) -> str | None:
        """The id under which the service logged the request."""
        return self.problem.request_id


class InvalidRequest(Refused):
    """A value of the request is invalid (400, 406, 415, 416, 422); see `problem.errors`."""


class ScriptRejected(InvalidRequest):
    """The source has errors; `findings` tell each with line and column."""

    @property
    def findings(self) -> list[Finding]:
        """The errors in the source."""
        return [
            Finding(
                line=each.line,
                column=each.column,
                code=each.code or "error",
                message=each.message,
                excerpt=each.excerpt,
            )
            for each in self.problem.errors or []
        ]


class SchemaRejected(InvalidRequest):
    """The schema has errors: `problem.errors` tell each with its place in the schema."""


class AccessDenied(Refused):
    """The key is missing, invalid or without the scope (401, 403, 421)."""


class NotFound(Refused):
    """There is no such script, version, alias, execution or result (404)."""


class Conflict(Refused):
    """It is not possible in this state (409), or a condition does not hold (412)."""


class Gone(Refused):
    """The data has expired or was erased (410)."""


class TooLarge(Refused):
    """The body exceeds a limit, which the message names (413)."""


class TooManyRequests(Refused):
    """A quota or rate is exceeded (429)."""


class Unavailable(Refused):
    """The service cannot do it at the moment (5xx)."""


class NoResult(CrivoError):
    """An execution has no result; subclasses tell the reasons apart."""

    def __init__(self, message: str, execution: Execution) -> None:
        """Keep the execution as it was last seen."""
        super().__init__(message)
        self.execution = execution


class ExecutionFailed(NoResult):
    """The execution failed: by its script, its input or a limit."""

    def __init__(self, execution: Execution) -> None:
        """Describe the failure by the execution's error."""
        error = execution.error
        self.kind = "unknown" if error is None else error.kind
        self.message = "no error is given" if error is None else error.message
        self.name = None if error is None else error.name
        self.line = None if error is None else error.line
        self.column = None if error is None else error.column
        self.excerpt = None if error is None else error.excerpt
        self.stack = None if error is None else error.stack
        where = "" if self.line is None else f" ({self.line}:{self.column})"
        name = "" if self.name is None else f"{self.name}: "
        super().__init__(f"{self.kind}: {name}{self.message}{where}", execution)


class ExecutionCancelled(NoResult):
    """The execution was cancelled."""


class StillRunning(NoResult, TimeoutError):
    """The execution has not finished within the time; it goes on."""


class RunFailed(CrivoError):
    """The run failed; `run.error` is the error of the part that ended it."""

    def __init__(self, run: Run) -> None:
        """Describe the failure by the run's error."""
        self.run = run
        error = run.error
        self.kind = "unknown" if error is None else error.kind
        self.message = "no error is given" if error is None else error.message
        self.line = None if error is None else error.line
        self.column = None if error is None else error.column
        self.path = None if error is None else error.path
        self.input_line = None if error is None else error.input_line
        where = "" if self.line is None else f" ({self.line}:{self.column})"
        name = "" if error is None or error.name is None else f"{error.name}: "
        place = "" if self.path is None else f"{self.path}:{self.input_line}: "
        super().__init__(f"{place}{self.kind}: {name}{self.message}{where}")


class RunCancelled(CrivoError):
    """The run was cancelled."""

    def __init__(self, run: Run) -> None:
        """Keep the run."""
        super().__init__(f"run {run.id} was cancelled")
        self.run = run


class ExportFailed(CrivoError):
    """The export failed; `export.error` has the bad row that ended it, if it was one."""

    def __init__(self, export: Export) -> None:
        """Describe the failure by the export's error."""
        self.export = export
        error = export.error
        self.kind = "unknown" if error is None else error.kind
        self.message = "no error is given" if error is None else error.message
        self.path = None if error is None else error.path
        self.line = None if error is None else error.line
        self.record = None if error is None else error.record
        self.pointer = None if error is None else error.pointer
        super().__init__(self._described())

    def _described(self) -> str:
        if self.path is None:
            return f"{self.kind}: {self.message}"
        # The service's message may name the row, too.
        place = place_of(self.path, self.line, self.record)
        row = f"{place}, {self.pointer or 'the record'}: "
        reason = self.message.replace(f"the first is {row}", "the first: ").replace(row, "")
        where = "" if self.pointer is None else f" ({self.pointer or 'the whole row'})"
        # As compilers write places.
        shown = place if self.line is None else f"{self.path}:{self.line}"
        return f"{shown}: {self.kind}: {reason}{where}"


class ExportCancelled(CrivoError):
    """The export was cancelled."""

    def __init__(self, export: Export) -> None:
        """Keep the export."""
        super().__init__(f"export {export.id} was cancelled")
        self.export = export


class ExportInProgress(CrivoError):
    """Another process writes an export into the same directory."""


class ExportDamaged(CrivoError):
    """A file of an export is not what its manifest says, or a manifest is none."""


class NotFinished(CrivoError, TimeoutError):
    """A batch, comparison, run or export goes on; `resource` is how it was seen last."""

    def __init__(self, message: str, resource: Response) -> None:
        """Keep the resource."""
        super().__init__(message)
        self.resource = resource
