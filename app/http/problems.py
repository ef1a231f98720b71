"""Render every error as an RFC 9457 problem document."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from app.db import UNAVAILABLE
from app.errors import Problem

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


def document(problem: Problem) -> dict[str, object]:
    """Give the members of a problem document."""
    members: dict[str, object] = {
        "type": f"urn:crivo:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        members["errors"] = problem.errors
    return members


def render_problem(_: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    """Answer with an error that was raised by name."""
    return _answer(problem.status, document(problem), problem.headers)


def render_http_exception(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer with an error of the framework's: unknown routes, wrong methods and the like."""
    phrase = HTTPStatus(error.status_code).phrase
    detail = error.detail
    if error.extra:
        detail = f"{detail}: {msgspec.json.encode(error.extra).decode()}"
    members: dict[str, object] = {
        "type": "about:blank",
        "title": phrase,
        "status": error.status_code,
        "detail": detail,
    }
    return _answer(error.status_code, members, error.headers or {})


def render_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer with 503 when PostgreSQL is away, else with 500; the log has what happened."""
    if isinstance(error, UNAVAILABLE):
        log.warning("request.database_unavailable", path=request.url.path, reason=str(error))
        return render_problem(request, DatabaseUnavailable("PostgreSQL does not answer"))
    log.error("request.failed", path=request.url.path, exc_info=error)
    return render_problem(request, Problem("The error is in the service's log"))


class DatabaseUnavailable(Problem):
    """PostgreSQL cannot be reached at the moment."""

    status = 503
    code = "database-unavailable"
    title = "The database cannot be reached at the moment"

    def __init__(self, detail: str) -> None:
        """Ask to be tried again soon."""
        super().__init__(detail, headers={"Retry-After": "1"})


def _answer(status: int, members: dict[str, object], headers: dict[str, str]) -> Response[bytes]:
    return Response(
        msgspec.json.encode(members), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )
