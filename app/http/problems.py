"""Render every error as an RFC 9457 problem document."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec import UNSET, Struct, UnsetType, field

from app.blobs import BlobLost
from app.errors import InvalidRequest, Problem, clipped
from app.http.request_id import request_id_in, request_id_of
from app.outages import HOST, host_error_of

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

# Bounds what an error echoes of a request. Crivo's own texts are shorter.
_MAX_DETAIL: Final = 4_000
_MAX_IN_ERROR: Final = 1_000


class ProblemDocument(Struct, frozen=True, kw_only=True):
    """An error as in RFC 9457: `type` is stable, `detail` describes this occurrence.

    `errors` lists every invalid place: a `pointer` into the request (a JSON pointer, or `/` and
    the name of a parameter), or a `line` and `column` of the script. A 429 names the `quota`,
    its `limit` and how much is `used`. `request_id` identifies the request in the service's log
    and audit log.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | UnsetType = UNSET
    warnings: list[dict[str, Any]] | UnsetType = UNSET
    quota: str | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    used: int | UnsetType = UNSET
    violated_policies: list[str] | UnsetType = field(default=UNSET, name="violated-policies")
    request_id: str


def document(problem: Problem) -> dict[str, object]:
    """Return the members of a problem document."""
    members: dict[str, object] = {
        "type": f"urn:crivo:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": clipped(problem.detail, _MAX_DETAIL),
    }
    if problem.errors:
        members["errors"] = [_bounded(each) for each in problem.errors]
    if problem.warnings:
        members["warnings"] = [_bounded(each) for each in problem.warnings]
    return members | problem.members


def _bounded(error: Mapping[str, object]) -> dict[str, object]:
    return {
        name: clipped(value, _MAX_IN_ERROR) if isinstance(value, str) else value
        for name, value in error.items()
    }


def render_problem(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    """Render an error that a handler raised."""
    return _answer(request, problem.status, document(problem), problem.headers)


async def send_problem(
    scope: MutableMapping[str, Any],
    problem: Problem,
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Send a problem document outside the framework."""
    body = msgspec.json.encode({**document(problem), "request_id": request_id_in(scope)})
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def render_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Render an error of the framework, such as an unknown route or a wrong method."""
    if isinstance(error, ValidationException):
        return render_problem(request, _invalid_parameters(error))
    members: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "detail": _way_on(request, error),
    }
    return _answer(request, error.status_code, members, error.headers or {})


def render_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Render 503 or 507 if the host is short of something, else log the error and render 500.

    Errors of the database and the blob store are Problems, and never arrive here.
    """
    trouble = host_error_of(error)
    if trouble is not None:
        HOST.failed(trouble.reason)
        return render_problem(request, trouble)
    log.error("request.failed", path=request.url.path, exc_info=error)
    return render_problem(request, Problem("The error is in the service's log"))


class DataLost(Problem):
    """The blob store does not have what the database says it stored."""

    code = "data-lost"
    title = "Stored data is missing or damaged"

    def __init__(self) -> None:
        """Say who can help."""
        super().__init__(
            "the blob store lacks some of what was stored, or has other bytes; the service's log "
            "names it, for its operator to restore"
        )


def render_lost_blob(request: Request[Any, Any, Any], error: BlobLost) -> Response[bytes]:
    """Log which blob is lost, and say so; repeating the request does not help."""
    log.error("blob.lost", path=request.url.path, reason=str(error))
    return render_problem(request, DataLost())


def _way_on(request: Request[Any, Any, Any], error: HTTPException) -> str:
    """Return a detail that says what to do next, where the framework's does not."""
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return f"nothing is at {request.url.path}; /docs lists every route"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {name.lower(): value for name, value in (error.headers or {}).items()}
            allowed = headers.get("allow", "other methods")
            return f"{request.url.path} takes {allowed}, not {request.method}; see /docs"
        case _:
            return error.detail


def _invalid_parameters(error: ValidationException) -> InvalidRequest:
    """Name each parameter that Litestar refused, in the format for members of bodies."""
    found = error.extra if isinstance(error.extra, list) else []
    errors = [
        {"pointer": f"/{each.get('key', '')}", "message": str(each.get("message", ""))}
        for each in found
        if isinstance(each, dict)
    ]
    detail = "; ".join(f"{each['pointer']}: {each['message']}" for each in errors)
    return InvalidRequest(detail or error.detail, errors=errors)


def _answer(
    request: Request[Any, Any, Any],
    status: int,
    members: dict[str, object],
    headers: dict[str, str],
) -> Response[bytes]:
    # A client that reports the id lets the operator find the request in the logs.
    body = msgspec.json.encode({**members, "request_id": request_id_of(request)})
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)
