"""Scripts, versions and references to them, as data; what can be wrong with them, by name."""

import re
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.errors import InvalidRequest, Problem, clipped
from app.execution_errors import WrittenError
from app.limits import LimitChoice, Limits, Seed
from app.losses import WrittenWarnings
from app.payloads.model import PayloadRef
from app.sandbox.outcomes import Finding
from app.wording import expected

# `/scripts/check` is a route.
RESERVED_NAMES: Final = frozenset({"check"})
LATEST: Final = "latest"

# PostgreSQL's text takes every character but NUL.
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$(?!\n)")]
Description = Annotated[str, Meta(max_length=4_000, pattern=r"^[^\x00]*$")]
Note = Annotated[str, Meta(max_length=1_000, pattern=r"^[^\x00]*$")]

_ALIAS = re.compile(r"[a-z][a-z0-9._-]{0,62}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


class CreateScript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /scripts`: a new script and its version 1."""

    name: Name
    source: str
    description: Description = ""
    note: Note = ""
    limits: LimitChoice = LimitChoice()


class AddVersion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /scripts/{script}/versions` and of `PUT /scripts/{script}`."""

    source: str
    note: Note = ""
    limits: LimitChoice = LimitChoice()


class CheckScript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /scripts/check`; `sample` is data to run the script on, any JSON.

    The sample's run has the `params` that are given here, and no name, version or labels.
    """

    source: str
    note: Note = ""
    limits: LimitChoice = LimitChoice()
    sample: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    seed: Seed | None = None


class DescribeScript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PATCH /scripts/{script}`: what may change about a script."""

    description: Description | UnsetType = UNSET
    archived: bool | UnsetType = UNSET


class MoveAlias(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /scripts/{script}/aliases/{alias}`."""

    version: Annotated[int, Meta(ge=1, le=999_999_999)]


class Version(Struct, frozen=True, kw_only=True):
    """One immutable version; its source is at its own address, byte for byte."""

    version: int
    sha256: str
    size_bytes: int
    limits: LimitChoice
    note: str
    created_at: datetime


class Script(Struct, frozen=True, kw_only=True):
    """A script and its newest version; `version` where it was asked for as `cards@prod`."""

    id: UUID
    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    latest_version: Version
    version: Version | UnsetType = UNSET


class Alias(Struct, frozen=True, kw_only=True):
    """A movable name for a version."""

    alias: str
    version: int
    updated_at: datetime

    @property
    def etag(self) -> str:
        """Give what changes with every move, also with one to a version that it had before."""
        return f'"{self.version}-{int(self.updated_at.timestamp() * 1_000_000)}"'


class CreatedScript(Script, frozen=True, kw_only=True):
    """A script as it was made, and what will surprise in its source."""

    warnings: tuple[Finding, ...]


class AddedVersion(Version, frozen=True, kw_only=True):
    """A version as it was added, and what will surprise in its source."""

    warnings: tuple[Finding, ...]


class SampleReceipt(Struct, frozen=True, kw_only=True):
    """What was run on what, under which limits, and what it took; kept nowhere."""

    source: PayloadRef
    input: PayloadRef
    params: PayloadRef | None
    output: PayloadRef | None
    seed: int
    clock_ms: int
    v8_version: str
    limits: Limits
    run_ms: float
    cpu_ms: float
    peak_memory_bytes: int


class Sample(Struct, frozen=True, kw_only=True):
    """What came of a script on a sample, in the shapes of an execution."""

    status: Literal["succeeded", "failed"]
    error: WrittenError | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    warnings: WrittenWarnings | UnsetType = UNSET
    logs: Raw
    receipt: SampleReceipt


class Accepted(Struct, frozen=True, kw_only=True):
    """The answer of `POST /scripts/check` for a source that would be taken."""

    accepted: bool = True
    warnings: tuple[Finding, ...] = ()
    sample: Sample | UnsetType = UNSET


class ScriptRef(Struct, frozen=True, kw_only=True):
    """A reference to one version: `cards`, `cards@3`, `cards@prod`, or an id in place of a name.

    `selector` is a version's number or an alias; `latest` is the newest version.
    """

    script: UUID | str
    selector: int | str = LATEST

    def __str__(self) -> str:
        """Write it as a client does."""
        return f"{self.script}@{self.selector}"


class ResolvedVersion(Struct, frozen=True, kw_only=True):
    """The one version that a reference named when it was looked up."""

    script_id: UUID
    version: int
    archived_at: datetime | None


class ScriptNotFound(Problem):
    """No script of this tenant has that id or name."""

    status = 404
    code = "script-not-found"
    title = "There is no such script"


class VersionNotFound(Problem):
    """The script has no such version or alias."""

    status = 404
    code = "version-not-found"
    title = "The script has no such version"


class NameTaken(Problem):
    """Another script of this tenant, archived or not, has the name."""

    status = 409
    code = "name-taken"
    title = "A script of that name exists already"


class ScriptArchived(Problem):
    """The script is archived: it can be read, not run or changed."""

    status = 409
    code = "script-archived"
    title = "The script is archived"


class InvalidScript(Problem):
    """The source was refused; `errors` hold the findings."""

    status = 422
    code = "invalid-script"
    title = "The script was refused"


class SourceTooLarge(Problem):
    """The source is over its size limit."""

    status = 413
    code = "source-too-large"
    title = "The source is too large"


class CheckBusy(Problem):
    """More uploads are being checked than fit, or no sandbox can be started."""

    status = 503
    code = "check-busy"
    title = "The upload cannot be checked at the moment"


class TooManyChecks(Problem):
    """As many uploads of the tenant wait to be checked as may."""

    status = 429
    code = "too-many-checks"
    title = "Too many uploads of this tenant wait to be checked"


def parse_ref(text: str) -> ScriptRef:
    """Read a reference. Raises ScriptNotFound or VersionNotFound for what cannot be one."""
    script, at, selector = text.partition("@")
    subject = parse_script(script)
    return ScriptRef(script=subject, selector=parse_selector(selector) if at else LATEST)


def parse_selector(text: str) -> int | str:
    """Read a version's number, an alias or `latest`. Raises VersionNotFound."""
    if _VERSION.fullmatch(text):
        return int(text)
    if _ALIAS.fullmatch(text):
        return text
    raise VersionNotFound(f"{clipped(text)!r} is neither a version's number nor an alias")


def parse_script(text: str) -> UUID | str:
    """Read a script's id or name. Raises ScriptNotFound for what cannot be either."""
    if is_uuid(text):
        return UUID(text)
    if is_name(text):
        return text
    name, at, selector = text.partition("@")
    if at and (is_uuid(name) or is_name(name)):
        raise ScriptNotFound(
            f"{clipped(text)!r} names a version, and this address is of the script, {name!r}; "
            f"GET /scripts/{name}/versions/{clipped(selector)} has the version"
        )
    raise ScriptNotFound(
        f"{clipped(text)!r} is neither a script's id nor a name; GET /scripts lists them"
    )


def parse_new(text: str) -> UUID | str:
    """Read a script's id, or a name that a script may get. Raises InvalidRequest."""
    if not is_uuid(text) and not is_name(text):
        message = f"{clipped(text)!r} cannot name a script: {expected(Name)}"
        raise InvalidRequest(message, errors=[{"pointer": "/script", "message": message}])
    return parse_script(text)


def is_name(text: str) -> bool:
    """Say whether a text may name a script; a UUID may not, and looks as if."""
    return re.match(r"^[a-z0-9][a-z0-9._-]{0,62}\Z", text) is not None


def is_alias(text: str) -> bool:
    """Say whether a text may name a version."""
    return _ALIAS.fullmatch(text) is not None and text != LATEST


def is_uuid(text: str) -> bool:
    """Say whether a text is a UUID in its usual form; such a text cannot be a name."""
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text) is not None
