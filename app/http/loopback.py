"""Restrict an open API to its own machine: loopback Host, no cross-site Origin.

Without keys, the API is protected by listening on loopback. A web page that the operator happens
to visit could still reach it: by a name that resolves to 127.0.0.1 (DNS rebinding, visible in
Host) or by a plain cross-site request (visible in Origin). Where keys are required, a request has
no permissions but its key's, which no browser sends by itself, so any Host and Origin are accepted.
"""

from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from app.auth.authenticator import Authenticator
from app.auth.open_mode import is_loopback
from app.errors import Problem, clipped
from app.http.middleware import ALLOWED_ORIGIN
from app.http.problems import send_problem


class ForeignHost(Problem):
    """The Host header names something other than this machine's loopback."""

    status = 421
    code = "foreign-host"
    title = "This server does not serve that host"


class CrossSiteOrigin(Problem):
    """A web page of another origin sent the request."""

    status = 403
    code = "cross-site-origin"
    title = "Requests from other sites' pages are refused"


def loopback_only(app: ASGIApp) -> ASGIApp:
    """Wrap the application, and refuse a foreign Host or Origin while it is open."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        authenticator: Authenticator = scope["litestar_app"].state.authenticator
        if scope["type"] != ScopeType.HTTP or not authenticator.open:
            await app(scope, receive, send)
            return
        is_allowed_origin = scope["state"].get(ALLOWED_ORIGIN, False)
        problem = _refusal(dict(scope["headers"]), scope["server"], any_origin=is_allowed_origin)
        if problem is None:
            await app(scope, receive, send)
        else:
            await send_problem(scope, problem, send)  # type: ignore[arg-type] # narrower types

    return guarded


def _refusal(
    headers: dict[bytes, bytes], server: tuple[str, int | None] | None, *, any_origin: bool
) -> Problem | None:
    host = headers.get(b"host", b"").decode("latin-1")
    if not is_loopback(_host_of(f"//{host}")):
        return ForeignHost(
            f"Host is {clipped(host)!r}; without API keys only this machine is served: use "
            f"http://127.0.0.1{_port_of(f'//{host}', server)}"
        )
    origin = headers.get(b"origin")
    # The server's own /docs has the same origin; Host is known to be loopback here.
    if origin is None or any_origin:
        return None
    if _netloc_of(origin.decode("latin-1")) != host.lower():
        return CrossSiteOrigin(
            f"Origin is {clipped(origin.decode('latin-1'))!r}; pages of other sites can use this "
            "API where CRIVO_CORS_ORIGINS lists their origin"
        )
    return None


def _port_of(url: str, server: tuple[str, int | None] | None) -> str:
    """Return `:` and the port that the client used, or else the server's own."""
    try:
        port = urlsplit(url).port
    except ValueError:
        port = None
    port = port or (server[1] if server else None)
    return "" if port is None else f":{port}"


def _netloc_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
