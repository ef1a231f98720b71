"""Generate the OpenAPI document from what routes declare.

A route declares its request bodies, its responses and the problems that it raises, by class.
Schemas follow from the structs, every status is documented, and a test sends the recorded examples
to a running system.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, ClassVar, Final

import msgspec
from litestar import HttpMethod
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import OpenAPI, Operation
from litestar.types import OperationIDCreator
from msgspec import UNSET, Struct
from msgspec.structs import replace

from app.auth.model import Scope
from app.errors import MalformedRequest, Problem
from app.execution_errors import ExecutionError
from app.http.authorization import SCHEME
from app.http.bodies import BodyTooLarge, ClientGone, UnsupportedMediaType
from app.http.challenges import documented_refusals
from app.http.idempotency import DESCRIBED, DESCRIBED_REPLAY
from app.http.loopback import CrossSiteOrigin, ForeignHost
from app.http.methods import described_head
from app.http.middleware import HeadTooLarge, TargetTooLong
from app.http.negotiation import NotAcceptable
from app.http.openapi_parameters import (
    REFS,
    Example,
    header_parameters,
    path_parameter,
    query_parameters,
    with_examples,
)
from app.http.problems import MEDIA_TYPE, ProblemDocument, document
from app.http.quota_problems import quota_problem
from app.http.shared_responses import share_responses
from app.http.undeclared import not_evaluated
from app.idempotency.model import IdempotencyKeyReused, InvalidIdempotencyKey, RequestInProgress
from app.losses import ResultWarning
from app.quotas.errors import QuotaExceeded, TooManyInFlight
from app.quotas.model import Quota
from app.validation import Fault, refused_parameters, unknown

# A JSON Schema as plain data.
JsonSchema = Mapping[str, object]
Shape = type | JsonSchema

ANY_JSON: Final[JsonSchema] = {"description": "any JSON"}
RAW_TEXT: Final[JsonSchema] = {"type": "string"}
BINARY: Final[JsonSchema] = {"type": "string", "format": "binary"}

_REQUEST_ID: Final = "01900000-0000-7000-8000-000000000001"

# Instances, because they are the examples as well.
_ALWAYS: Final = (
    CrossSiteOrigin("Origin is 'http://elsewhere.example'"),
    NotAcceptable("this route produces application/json; Accept is 'text/html'"),
    ForeignHost("Host is 'elsewhere.example'; without API keys only this machine is served"),
    TargetTooLong("the address has 13234 bytes; the limit is 8192"),
    HeadTooLarge("there are 101 headers with 5678 bytes; the limits are 100 and 32768"),
    Problem("The error is in the service's log"),
)
_TOO_MANY: Final = (
    quota_problem(QuotaExceeded(Quota.REQUESTS, limit=50, used=50)),
    quota_problem(TooManyInFlight(2_000)),
)
_READING: Final = (
    MalformedRequest("the body is not JSON: Input data was truncated"),
    ClientGone("the connection was closed after 65536 bytes"),
    BodyTooLarge("the body has 16777217 bytes; the limit is 16777216"),
    UnsupportedMediaType("Content-Type is application/xml; use application/json"),
    not_evaluated("If-Unmodified-Since"),
)
_REPEATING: Final = (
    InvalidIdempotencyKey("the request has 2 of them; send one"),
    IdempotencyKeyReused(),
    RequestInProgress(),
)


class ResponseSpec(Struct, frozen=True, kw_only=True):
    """A successful response of a route.

    `also` has the shapes of other media types, `*/*` if users choose them. `links` name follow-up
    operations, and the members of this response that their parameters take.
    """

    description: str
    shape: Shape | None = None
    media_type: str = "application/json"
    also: Mapping[str, Shape] = {}
    headers: Mapping[str, str] = {}
    links: Mapping[str, Mapping[str, str]] = {}


def documented(  # noqa: PLR0913 - one keyword for each part of the document
    *,
    responses: Mapping[int, ResponseSpec],
    request_bodies: Mapping[str, Shape] | None = None,
    problems: Sequence[Problem | type[Problem]] = (),
    query: type[Struct] | None = None,
    query_with: str | None = None,
    headers: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    examples: Mapping[str, Sequence[Example]] | None = None,
    elsewhere: Sequence[str] = (),
    idempotent: bool = False,
) -> type[Operation]:
    """Return the `operation_class` of a route; the first line of its docstring is the summary.

    `request_bodies` maps media types to schemas; `query` is the struct of query parameters;
    `headers` and `parameters` describe headers and path parameters. A media type of `elsewhere`
    redirects to another route. `query_with` is the media type of the body without which `query`
    does not apply. An `idempotent` route takes Idempotency-Key.
    """
    if idempotent:
        headers = {**(headers or {}), **DESCRIBED}
        problems = (*problems, *_REPEATING)
        responses = {
            status: replace(each, headers={**each.headers, **DESCRIBED_REPLAY})
            for status, each in responses.items()
        }

    @dataclass
    class Documented(Operation):
        # Read by app.http.undeclared.
        query_names: ClassVar[tuple[str, ...]] = query.__struct_encode_fields__ if query else ()
        query_shape: ClassVar[type[Struct] | None] = query
        header_names: ClassVar[tuple[str, ...]] = tuple(headers or ())
        # Read by app.http.negotiation.
        media_types: ClassVar[tuple[str, ...]] = tuple(
            dict.fromkeys(
                name
                for each in responses.values()
                if each.shape is not None
                for name in (each.media_type, *each.also)
            )
        ) + tuple(elsewhere)

        def to_schema(self) -> dict[str, Any]:
            known = super().to_schema()
            summary, _, more = str(known["description"]).partition("\n")
            recorded = (examples or {}).get(known["operationId"], ())
            if query is not None:
                _queries[query] = None
            taken = [
                *(path_parameter(each, parameters or {}) for each in known.get("parameters", ())),
                *query_parameters(query, only_with=query_with),
                *header_parameters(headers or {}),
            ]
            scopes = [Scope(scope) for each in known["security"] for scope in each.get(SCHEME, ())]
            refused = [
                *_ALWAYS,
                refused_parameters([Fault(("verbose",), unknown("verbose", self.query_names))]),
                *(each for scope in scopes for each in documented_refusals(scope)),
                *(_TOO_MANY if scopes else ()),
                *(_READING if request_bodies else ()),
                *problems,
            ]
            operation: dict[str, Any] = {
                "tags": known["tags"],
                "operationId": known["operationId"],
                "summary": summary.rstrip("."),
                "description": more.strip() or summary,
                "parameters": [with_examples(each, recorded) for each in taken],
                "requestBody": _body(request_bodies, recorded) if request_bodies else None,
                "responses": _responses(responses, refused, recorded),
                "security": known["security"],
            }
            return {name: value for name, value in operation.items() if value}

    return Documented


def include_schema(shape: type[Struct]) -> None:
    """Describe a struct that others refer to by its name, as what stays encoded does."""
    _named[shape] = None


def operation_id(handler: Any, method: Any, _path: Any) -> str:  # noqa: ANN401 - Litestar's
    """Name an operation after its handler: `show_script` is `showScript`, and `headShowScript`."""
    words = str(handler.handler_name).split("_")
    first, *rest = ["head", *words] if method == HttpMethod.HEAD else words
    return first + "".join(word.title() for word in rest)


@dataclass
class Documentation(OpenAPIConfig):
    """Litestar's OpenAPI configuration with schemas from msgspec."""

    use_handler_docstrings: bool = True
    operation_id_creator: OperationIDCreator = operation_id

    def to_openapi_schema(self) -> OpenAPI:
        """Return the document without schemas; they are added as it is serialised."""
        frame = super().to_openapi_schema()
        return _Document(**{name: getattr(frame, name) for name in frame.__dataclass_fields__})


@dataclass
class _Document(OpenAPI):
    def to_schema(self) -> dict[str, Any]:
        written = super().to_schema()
        for operations in written["paths"].values():
            if "head" in operations:
                operations["head"] = described_head(operations)
        # The paths are complete now, so every struct that they refer to is known.
        _, parts = msgspec.json.schema_components([*_named, *_queries], ref_template=REFS)
        unnamed = {query.__name__ for query in _queries}
        schemas = {name: _cleaned(parts[name]) for name in sorted(parts) if name not in unnamed}
        components = {
            "schemas": schemas,
            "responses": share_responses(written["paths"]),
            "securitySchemes": _SCHEMES,
        }
        return {**written, "components": components}


_SCHEMES: Final = {
    SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "crv_<id>_<secret>",
        "description": "An API key. None is needed while the API is open (`access` in "
        "`/health/ready`). Each operation names the scope that it requires; no scope implies "
        "another.",
    }
}


# The structs that routes refer to; nested structs are found from them.
_named: Final[dict[Shape, None]] = {ExecutionError: None, ResultWarning: None}
# Those whose members are parameters, which refer to enumerations.
_queries: Final[dict[type[Struct], None]] = {}


def _schema(shape: Shape) -> dict[str, Any]:
    """Return a reference to a struct's component, or a plain schema as it is."""
    if isinstance(shape, Mapping):
        return dict(shape)
    _named[shape] = None
    [schema], _ = msgspec.json.schema_components([shape], ref_template=REFS)
    return schema


def _cleaned(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove the indentation of docstrings, and mark timestamps (`…_at`, `…_since`) as such."""
    for name, member in schema.get("properties", {}).items():
        if member.get("items") is False:
            # `maxItems` says the same of a tuple, and generators do not read a boolean schema.
            del member["items"]
        if name.endswith(("_at", "_since")):
            for each in member.get("anyOf", [member]):
                if each.get("type") == "string":
                    each["format"] = "date-time"
    if "description" in schema:
        schema["description"] = cleandoc(schema["description"])
    return schema


def _body(request_bodies: Mapping[str, Shape], recorded: Sequence[Example]) -> dict[str, Any]:
    content = {}
    for media_type, shape in request_bodies.items():
        examples = {
            each.name: {"summary": each.summary, "value": each.body}
            for each in recorded
            if each.media_type == media_type
        }
        content[media_type] = _content(shape, examples)
    # An empty body is accepted as data: V8 reports that it is not JSON.
    return {"required": ANY_JSON not in request_bodies.values(), "content": content}


def _responses(
    responses: Mapping[int, ResponseSpec],
    problems: Iterable[Problem | type[Problem]],
    recorded: Sequence[Example],
) -> dict[str, Any]:
    by_code = {status: _success(status, answer, recorded) for status, answer in responses.items()}
    by_status: dict[int, dict[str, Problem | type[Problem]]] = {}
    for problem in problems:
        by_status.setdefault(problem.status, {})[problem.code] = problem
    for status, kinds in by_status.items():
        examples = {
            each.name: {"summary": each.summary, "value": each.answer}
            for each in recorded
            if each.status == status and status not in responses and each.answer is not UNSET
        }
        shown = {str(each["value"]["type"]).rpartition(":")[2] for each in examples.values()}
        for code, problem in kinds.items():
            if isinstance(problem, Problem) and code not in shown:
                value = {**document(problem), "request_id": _REQUEST_ID}
                examples[code] = {"summary": problem.title, "value": value}
        described = "\n".join(f"- `{code}`: {kinds[code].title}" for code in sorted(kinds))
        content = _content(ProblemDocument, examples)
        by_code.setdefault(status, {"description": described, "content": {}})
        by_code[status]["content"][MEDIA_TYPE] = content
        headers = {name for each in kinds.values() for name in getattr(each, "headers", {})}
        if headers:
            shown_headers = {name: {"schema": {"type": "string"}} for name in sorted(headers)}
            by_code[status]["headers"] = by_code[status].get("headers", {}) | shown_headers
    return {str(status): by_code[status] for status in sorted(by_code)}


def _success(status: int, answer: ResponseSpec, recorded: Sequence[Example]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        response["headers"] = {
            name: {"description": description, "schema": {"type": "string"}}
            for name, description in answer.headers.items()
        }
    if answer.shape is not None:
        examples = {
            each.name: {"summary": each.summary, "value": each.answer}
            for each in recorded
            if each.status == status and each.answer is not UNSET
        }
        texts = {}
        if RAW_TEXT in answer.also.values() and answer.shape is not RAW_TEXT:
            texts = {name: each for name, each in examples.items() if type(each["value"]) is str}
        others = {name: each for name, each in examples.items() if name not in texts}
        response["content"] = {answer.media_type: _content(answer.shape, others)}
        response["content"] |= {
            name: _content(shape, texts if shape is RAW_TEXT else {})
            for name, shape in answer.also.items()
        }
    if answer.links:
        response["links"] = {
            name: {
                "operationId": name,
                "parameters": {k: f"$response.body#/{v}" for k, v in members.items()},
            }
            for name, members in answer.links.items()
        }
    return response


def _content(shape: Shape, examples: Mapping[str, object]) -> dict[str, object]:
    return {"schema": _schema(shape), **({"examples": examples} if examples else {})}
