"""Register GET routes that also answer HEAD (RFC 9110, 9.3.2)."""

from typing import Any, Final

from litestar import HttpMethod, route
from litestar.handlers import HTTPRouteHandler

from app.http.bodies import AnyRequest

# HEAD ignores ranges.
_OF_RANGES: Final = ("Range", "If-Range")
_STATUSES_OF_RANGES: Final = ("206", "416")


def get(path: str, **options: Any) -> HTTPRouteHandler:  # noqa: ANN401 - Litestar's
    """Register a handler for GET and HEAD; the server sends no body in answer to HEAD.

    A handler that waits, or opens a stream, checks `is_head` first.
    """
    return route(path, http_method=[HttpMethod.GET, HttpMethod.HEAD], **options)


def is_head(request: AnyRequest) -> bool:
    """Return whether the client asks for headers only."""
    return request.method == HttpMethod.HEAD


def described_head(operations: dict[str, Any]) -> dict[str, Any]:
    """Derive the HEAD operation of a path from its GET: the same responses without bodies."""
    get = operations["get"]
    parameters = [
        {k: v for k, v in each.items() if k != "examples"}
        for each in get.get("parameters", ())
        if each["name"] not in _OF_RANGES
    ]
    operation: dict[str, Any] = {
        "tags": get["tags"],
        "operationId": operations["head"]["operationId"],
        "summary": f"{get['summary']}: headers only",
        "description": "The response that `GET` would give now, without its body.",
        "parameters": parameters,
        "responses": {
            status: {k: v for k, v in each.items() if k in {"description", "headers"}}
            for status, each in get["responses"].items()
            if status not in _STATUSES_OF_RANGES
        },
        "security": get["security"],
    }
    return {name: value for name, value in operation.items() if value}
