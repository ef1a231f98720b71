"""Document the routes of scripts for OpenAPI: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.check_turns import CheckBusy, TooManyChecks
from app.errors import located
from app.http.conditions import (
    DESCRIBED,
    DESCRIBED_ANY,
)
from app.http.openapi import (
    RAW_TEXT,
    ResponseSpec,
    documented,
)
from app.http.openapi_parameters import (
    load_examples,
)
from app.http.quota_problems import quota_problem
from app.http.undeclared import not_evaluated
from app.limits import CpuMs, MemoryBytes, OutputBytes, WallMs
from app.outages import DatabaseUnavailable
from app.pagination import Page, PageQuery
from app.preconditions import PreconditionFailed
from app.quotas.errors import QuotaExceeded
from app.references import Alias, Name, Note
from app.sandbox.outcomes import Io
from app.schemas.pinned import SchemaReference
from app.schemas.problems import (
    schema_archived,
    schema_not_found,
    schema_version_not_found,
)
from app.scripts.model import (
    Accepted,
    AddedVersion,
    AddVersion,
    CheckScript,
    CreatedScript,
    CreateScript,
    DescribeScript,
    MoveAlias,
    Script,
    Version,
)
from app.scripts.problems import (
    InvalidScript,
    NameTaken,
    PromotionRefused,
    ScriptArchived,
    ScriptNotFound,
    SourceTooLarge,
    VersionNotFound,
)
from app.scripts.uploads import RAW_TYPES, upload_content

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
_PARAMETERS: Final = {
    "script": "the script's name, or its id",
    "number": "the version's number (1, 2, 3 …), an alias, or `latest`",
    "alias": "the alias: a lowercase letter, then letters, digits, `.`, `_`, `-`; not `latest`",
}
_ETAG: Final = {"ETag": "for `If-Match`; every move changes it"}
_LOCATION: Final = {"Location": "the URL of the script or version"}

_NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
_NO_SCRIPT: Final = ScriptNotFound("no script 'credit'")
_NO_VERSION: Final = VersionNotFound("the script 'cards' has no version 9")
_ARCHIVED: Final = ScriptArchived("the script 'cards' is archived and does not change")
_NO_ALIAS: Final = VersionNotFound("the script 'cards' has no version 'prod'")
_REFUSED: Final = PromotionRefused(
    "/comparison: not every result is the same; "
    "GET /comparisons/01900000-0000-7000-8000-000000000001 has the differences"
)
_MOVED: Final = PreconditionFailed(
    'If-Match is "1-0", and its ETag is another one now; GET it again'
)
_EXISTS: Final = PreconditionFailed("If-None-Match is *, and there is one already")
_NO_SCHEMA: Final = located("/input_schema", schema_not_found("events"))
_NO_SCHEMA_VERSION: Final = located("/output_schema", schema_version_not_found("events", 9))
_ARCHIVED_SCHEMA: Final = located(
    "/input_schema", schema_archived("events", "nothing new can refer to it")
)
_UPLOAD: Final = (
    InvalidScript,
    SourceTooLarge("the source has 1048577 bytes; the limit is 1048576"),
    _NO_SCHEMA,
    _NO_SCHEMA_VERSION,
    _ARCHIVED_SCHEMA,
    CheckBusy("128 requests wait for it already"),
    TooManyChecks("16 requests of this tenant wait for it already"),
    _NO_DATABASE,
)


class ScriptFileQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of an upload whose body is the file itself."""

    note: Annotated[Note, Meta(description="a note on this version")] | UnsetType = UNSET
    io: Annotated[Io, Meta(description="`bytes` for a `process` over bytes")] | UnsetType = UNSET
    input_schema: (
        Annotated[SchemaReference, Meta(description="the schema of what `process` and `map` get")]
        | UnsetType
    ) = UNSET
    output_schema: (
        Annotated[SchemaReference, Meta(description="the schema of what they return")] | UnsetType
    ) = UNSET
    wall_ms: Annotated[WallMs, Meta(description="the version's time limit")] | UnsetType = UNSET
    max_cpu_ms: Annotated[CpuMs, Meta(description="the version's CPU time limit")] | UnsetType = (
        UNSET
    )
    memory_bytes: (
        Annotated[MemoryBytes, Meta(description="the version's memory limit")] | UnsetType
    ) = UNSET
    max_output_bytes: (
        Annotated[OutputBytes, Meta(description="the version's output limit")] | UnsetType
    ) = UNSET


class NewScriptFileQuery(ScriptFileQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a new script whose body is the file itself."""

    name: Annotated[Name, Meta(description="the new script's name")] | UnsetType = UNSET
    description: (
        Annotated[str, Meta(max_length=4_000, description="the purpose of the script")] | UnsetType
    ) = UNSET


class ScriptListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters that select and page scripts."""

    name: Annotated[Name, Meta(description="only the script with this name")] | UnsetType = UNSET
    archived: Annotated[bool, Meta(description="include archived scripts")] = False


CREATE_SCRIPT: Final = documented(
    idempotent=True,
    request_bodies=upload_content(CreateScript),
    query=NewScriptFileQuery,
    query_with=RAW_TYPES[0],
    responses={
        201: ResponseSpec(
            description="The script, with its version 1",
            shape=CreatedScript,
            headers=_LOCATION,
            links={"showScript": {"script": "id"}, "submitRaw": {"script": "id"}},
        )
    },
    problems=(*_UPLOAD, NameTaken, quota_problem(QuotaExceeded("scripts", limit=100, used=100))),
    examples=_EXAMPLES,
)

CHECK_SCRIPT: Final = documented(
    request_bodies=upload_content(CheckScript),
    query=ScriptFileQuery,
    query_with=RAW_TYPES[0],
    responses={200: ResponseSpec(description="The source has no errors", shape=Accepted)},
    problems=_UPLOAD,
    examples=_EXAMPLES,
)

LIST_SCRIPTS: Final = documented(
    query=ScriptListQuery,
    responses={
        200: ResponseSpec(description="A page of scripts, newest first", shape=Page[Script])
    },
    problems=(_NO_DATABASE,),
    examples=_EXAMPLES,
)

SHOW_SCRIPT: Final = documented(
    responses={200: ResponseSpec(description="The script and its newest version", shape=Script)},
    problems=(_NO_SCRIPT, _NO_VERSION, _NO_DATABASE),
    parameters={"script": "the script's name or its id; optionally `@` and a version or an alias"},
    examples=_EXAMPLES,
)

PUT_SCRIPT: Final = documented(
    request_bodies=upload_content(AddVersion),
    query=ScriptFileQuery,
    headers=DESCRIBED_ANY,
    responses={
        201: ResponseSpec(
            description="The script with its new version",
            shape=CreatedScript,
            headers=_LOCATION,
            links={"showScript": {"script": "id"}, "submitRaw": {"script": "id"}},
        ),
        200: ResponseSpec(
            description="The script; its newest version has the same source, limits and schemas",
            shape=CreatedScript,
            headers=_LOCATION,
        ),
    },
    problems=(
        *_UPLOAD,
        _NO_SCRIPT,
        _ARCHIVED,
        _EXISTS,
        quota_problem(QuotaExceeded("versions", limit=1_000, used=1_000)),
    ),
    parameters={"script": "the script's name, existing or new, or its id"},
    examples=_EXAMPLES,
)

DESCRIBE_SCRIPT: Final = documented(
    request_bodies={"application/json": DescribeScript},
    responses={200: ResponseSpec(description="The changed script", shape=Script)},
    problems=(_NO_SCRIPT, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

ARCHIVE_SCRIPT: Final = documented(
    responses={200: ResponseSpec(description="The script, archived", shape=Script)},
    problems=(not_evaluated("If-Match"), _NO_SCRIPT, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

ADD_VERSION: Final = documented(
    idempotent=True,
    request_bodies=upload_content(AddVersion),
    query=ScriptFileQuery,
    query_with=RAW_TYPES[0],
    responses={
        201: ResponseSpec(description="The new version", shape=AddedVersion, headers=_LOCATION),
        200: ResponseSpec(
            description="The newest version, which has the same source, limits and schemas",
            shape=AddedVersion,
            headers=_LOCATION,
        ),
    },
    problems=(
        *_UPLOAD,
        _NO_SCRIPT,
        _ARCHIVED,
        quota_problem(QuotaExceeded("versions", limit=1_000, used=1_000)),
    ),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

LIST_VERSIONS: Final = documented(
    query=PageQuery,
    responses={
        200: ResponseSpec(description="A page of versions, newest first", shape=Page[Version])
    },
    problems=(_NO_SCRIPT, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

SHOW_VERSION: Final = documented(
    responses={200: ResponseSpec(description="The version", shape=Version)},
    problems=(_NO_SCRIPT, _NO_VERSION, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

SHOW_SOURCE: Final = documented(
    responses={
        200: ResponseSpec(
            description="The source, byte for byte", shape=RAW_TEXT, media_type="text/javascript"
        )
    },
    problems=(_NO_SCRIPT, _NO_VERSION, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

LIST_ALIASES: Final = documented(
    query=PageQuery,
    responses={200: ResponseSpec(description="A page of aliases, by name", shape=Page[Alias])},
    problems=(_NO_SCRIPT, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

SHOW_ALIAS: Final = documented(
    headers={"If-None-Match": "ETags that the client has, or `*`: 304 if one matches"},
    responses={
        200: ResponseSpec(description="The alias", shape=Alias, headers=_ETAG),
        304: ResponseSpec(description="The client has the current alias, by `If-None-Match`"),
    },
    problems=(_NO_SCRIPT, _NO_ALIAS, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

MOVE_ALIAS: Final = documented(
    request_bodies={"application/json": MoveAlias},
    headers=DESCRIBED,
    responses={200: ResponseSpec(description="The changed alias", shape=Alias, headers=_ETAG)},
    problems=(_NO_SCRIPT, _NO_VERSION, _ARCHIVED, _REFUSED, _MOVED, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

REMOVE_ALIAS: Final = documented(
    headers=DESCRIBED,
    responses={204: ResponseSpec(description="The alias is removed")},
    problems=(
        not_evaluated("If-Unmodified-Since"),
        _NO_SCRIPT,
        _NO_ALIAS,
        _MOVED,
        _NO_DATABASE,
    ),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)
