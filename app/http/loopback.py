"""Keep the open API to its own machine: only its own Host, no cross-site Origin.

Without keys, what protects the API is that it listens on loopback. A web page that the
operator happens to visit could still reach it: by a name that resolves to 127.0.0.1 (DNS
rebinding, seen in Host) or by a plain cross-site request (seen in Origin). Where keys are
needed a request has no power but its key's, which no browser sends by itself: then any Host
and Origin will do.
"""

import ipaddress
from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from app.errors import Problem, clipped
from app.http.access import Authenticator
from app.http.middleware import ALLOWED_ORIGIN
from app.http.problems import problem_answer


class ForeignHost(Problem):
    """The Host header names something else than this machine's loopback."""

    status = 421
    code = "foreign-host"
    title = "This server does not answer for that host"


class CrossSiteOrigin(Problem):
    """A web page of another origin sent the request."""

    status = 403
    code = "cross-site-origin"
    title = "Requests from other sites' pages are refused"


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine's loopback."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def loopback_only(app: ASGIApp) -> ASGIApp:
    """Wrap the application: while it is open, refuse foreign Host and cross-site Origin."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        authenticator: Authenticator = scope["litestar_app"].state.authenticator
        if scope["type"] != ScopeType.HTTP or not authenticator.open:
            await app(scope, receive, send)
            return
        may_come = scope["state"].get(ALLOWED_ORIGIN, False)
        problem = _refusal(dict(scope["headers"]), scope["server"], any_origin=may_come)
        if problem is None:
            await app(scope, receive, send)
        else:
            await problem_answer(scope, problem, send)  # type: ignore[arg-type] # narrower types

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
    # Same origin is the server's own /docs; compared with Host, which is loopback by now.
    if origin is None or any_origin:
        return None
    if _netloc_of(origin.decode("latin-1")) != host.lower():
        return CrossSiteOrigin(
            f"Origin is {clipped(origin.decode('latin-1'))!r}; pages of other sites may use this "
            "API where CRIVO_CORS_ORIGINS names their origin"
        )
    return None


def _port_of(url: str, server: tuple[str, int | None] | None) -> str:
    """Give the port that the client came by, as an address ends with it; else the server's own."""
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
