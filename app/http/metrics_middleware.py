"""Count and time requests by route, and write the access log.

Paths never become label values; access log lines have them, without the query.
"""

from time import perf_counter
from typing import Final

import structlog

from app.http.asgi import App, Message, Receive, Scope, Send
from app.http.request_id import request_id_in
from app.metrics import HTTP_REQUESTS, HTTP_SECONDS

log = structlog.get_logger(__name__)

_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
# The route of requests that were refused before routing, or match no route.
_NO_ROUTE: Final = "(none)"
_MAX_PATH: Final = 1_000


def with_metrics(app: App, *, access_log: bool = False) -> App:
    """Wrap the whole application, including what refuses requests before routing."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began = perf_counter()
        status = ""
        seconds = 0.0

        async def observed(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status = str(message["status"])
                seconds = perf_counter() - began
            await send(message)

        try:
            await app(scope, receive, observed)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            # Set by the router.
            route = scope.get("path_template") or _NO_ROUTE
            HTTP_REQUESTS.labels(method, route, status).inc()
            if status:
                HTTP_SECONDS.labels(method, route, _waits(scope)).observe(seconds)
            if access_log:
                _write(scope, route=route, status=status, began=began)

    return answer


def _write(scope: Scope, *, route: str, status: str, began: float) -> None:
    """Log a request; it has no status if the client left before the answer."""
    log.info(
        "http.request",
        request_id=request_id_in(scope),
        method=scope["method"],
        path=scope["path"][:_MAX_PATH],
        route=route,
        status=int(status) if status else None,
        ms=round((perf_counter() - began) * 1_000, 3),
        address=scope["client"][0] if scope["client"] else None,
    )


def _waits(scope: Scope) -> str:
    """Return whether the client asked to wait, and so chose the time of this answer."""
    asked = b"wait=" in scope["query_string"] or any(
        name == b"prefer" and b"wait" in value for name, value in scope["headers"]
    )
    return "yes" if asked else "no"
