"""Routes that read: what GET gives, HEAD gives without its body (RFC 9110, 9.3.2)."""

from typing import Any, Final

from litestar import HttpMethod, route
from litestar.handlers import HTTPRouteHandler

from app.http.bodies import AnyRequest

# A HEAD has no range.
_OF_RANGES: Final = ("Range", "If-Range")
_STATUSES_OF_RANGES: Final = ("206", "416")


def get(path: str, **options: Any) -> HTTPRouteHandler:  # noqa: ANN401 - Litestar's
    """Register a handler for GET and HEAD; the server sends no body after a HEAD.

    A handler that would wait, or open what it streams, asks `is_head` first.
    """
    return route(path, http_method=[HttpMethod.GET, HttpMethod.HEAD], **options)


def is_head(request: AnyRequest) -> bool:
    """Say whether the client wants to know how the answer begins, and nothing of its body."""
    return request.method == HttpMethod.HEAD


def described_head(operations: dict[str, Any]) -> dict[str, Any]:
    """Describe a path's HEAD by its GET: the same answers without bodies, and no ranges of them."""
    get = operations["get"]
    takes = [
        {k: v for k, v in each.items() if k != "examples"}
        for each in get.get("parameters", ())
        if each["name"] not in _OF_RANGES
    ]
    operation: dict[str, Any] = {
        "tags": get["tags"],
        "operationId": operations["head"]["operationId"],
        "summary": f"{get['summary']}: headers only",
        "description": "What `GET` would answer at this moment, without its body.",
        "parameters": takes,
        "responses": {
            status: {k: v for k, v in each.items() if k in {"description", "headers"}}
            for status, each in get["responses"].items()
            if status not in _STATUSES_OF_RANGES
        },
        "security": get["security"],
    }
    return {name: value for name, value in operation.items() if value}
