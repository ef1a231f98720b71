"""Authenticate requests, and authorize them by the scope that their route declares.

Each route declares the scope that it requires by `**needs(Scope.READ)`, or by `**NO_KEY` that it
requires no key; `require_declared_needs` rejects an application with a route that declares
neither.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypedDict

from litestar import Litestar
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityRequirement

from app.auth.authenticator import Authenticator
from app.auth.callers import Caller, reauthorize
from app.auth.errors import AuthError, InvalidKey, InvalidToken, KeyRequired, MissingScope
from app.auth.event_tokens import ParsedToken, parse_token
from app.auth.model import AuthMethod, Principal, Scope
from app.http.quota_problems import rate_headers
from app.http.request_id import (
    RATE_HEADERS,
    AnyConnection,
    address_of,
    request_id_of,
    traceparent_of,
)
from app.outages import DatabaseUnavailable
from app.quotas.in_flight import InFlightLimiter
from app.quotas.rates import RateLimiter

# The security scheme's name in the OpenAPI document.
SCHEME: Final = "key"
# Options of a route.
_NEEDED_SCOPE: Final = "needed_scope"
_MAY_REVOKE_ACCESS: Final = "may_revoke_access"
_ACCEPTS_TOKEN: Final = "accepts_token"  # noqa: S105 - an option's name
# In the state of a request.
_CALLER: Final = "caller"


class Needs(TypedDict):
    """Keyword arguments for a route: `@get("/", **needs(Scope.READ))`."""

    opt: dict[str, object]
    security: list[SecurityRequirement]


def needs(scope: Scope, *, may_revoke_access: bool = False) -> Needs:
    """Declare that a route requires a key with this scope.

    `may_revoke_access`: the operation can end its own caller's access, and responds nevertheless.
    """
    opt: dict[str, object] = {_NEEDED_SCOPE: scope, _MAY_REVOKE_ACCESS: may_revoke_access}
    return {"opt": opt, "security": [{SCHEME: [str(scope)]}]}


def takes_token(needs: Needs) -> Needs:
    """Declare that a route accepts an event token of its only path parameter, in place of a key."""
    return {**needs, "opt": {**needs["opt"], _ACCEPTS_TOKEN: True}}


NO_KEY: Final[Needs] = {"opt": {_NEEDED_SCOPE: None}, "security": [{}]}


def require_declared_needs(app: Litestar) -> None:
    """Reject an application with a route that declares no scope. Raises RuntimeError."""
    undeclared = sorted(
        f"{method} {route.path}"
        for route in app.routes
        for handler in _handlers_of(route)
        for method in getattr(handler, "http_methods", ("?",))
        if method != "OPTIONS" and _NEEDED_SCOPE not in handler.opt
    )
    if undeclared:
        raise RuntimeError(f"routes without a declared scope: {', '.join(undeclared)}")


async def authorize(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Admit or refuse a request, as a guard; an admitted request has a caller from here on.

    Raises AuthError, QuotaError, DatabaseUnavailable.
    """
    if connection.scope.get("method") == "OPTIONS":
        # It lists the methods, as the API reference does; browsers send no key with it.
        return
    needed = handler.opt[_NEEDED_SCOPE]
    if needed is None:
        return
    caller = await authenticate(connection)
    rate_limiter: RateLimiter = connection.app.state.rate_limiter
    rate = rate_limiter.take(caller.tenant, caller.caps.max_requests_per_second)
    state = connection.scope["state"]
    state[RATE_HEADERS] = rate_headers(rate)
    if needed not in caller.scopes:
        raise MissingScope(needed)
    in_flight: InFlightLimiter = connection.app.state.in_flight
    in_flight.begin(caller.tenant)
    # From here on app.http.reauthorization calls in_flight.end for the request.
    state[_CALLER] = caller


async def authenticate(connection: AnyConnection) -> Caller:
    """Return the caller of a request. Raises AuthError, DatabaseUnavailable."""
    checked_at = asyncio.get_running_loop().time()
    principal = await _authenticate(connection)
    return Caller(
        tenant=principal.tenant,
        weight=principal.weight,
        caps=principal.caps,
        auth_method=AuthMethod.OPEN if principal.key_id is None else AuthMethod.KEY,
        key_id=principal.key_id,
        scopes=principal.scopes,
        address=address_of(connection),
        request_id=request_id_of(connection),
        traceparent=traceparent_of(connection),
        recheck=partial(_recheck, connection),
        checked_at=checked_at,
    )


async def is_still_authorized(connection: AnyConnection) -> bool:
    """Return whether an admitted request would be admitted now.

    While PostgreSQL is unavailable, no caller loses access.
    """
    try:
        await reauthorize(caller_of(connection))
    except DatabaseUnavailable:
        return True
    except AuthError:
        return False
    return True


def is_open(connection: AnyConnection) -> bool:
    """Return whether requests need no key at the moment."""
    authenticator: Authenticator = connection.app.state.authenticator
    return authenticator.open


async def is_authorized(connection: AnyConnection) -> bool:
    """Return whether a request to a route without a scope has a valid key, or needs none."""
    if is_open(connection):
        return True
    try:
        await authenticate(connection)
    except (AuthError, DatabaseUnavailable):
        return False
    return True


def caller_of(connection: AnyConnection) -> Caller:
    """Return the caller of an admitted request."""
    caller: Caller = connection.scope["state"][_CALLER]
    return caller


def caller_in(scope: Mapping[str, Any]) -> Caller | None:
    """Return the caller of a request; None where none was needed or admitted."""
    caller: Caller | None = scope.get("state", {}).get(_CALLER)
    return caller


def may_revoke_access(scope: Mapping[str, Any]) -> bool:
    """Return whether the operation can end its own caller's access."""
    return bool(scope["route_handler"].opt.get(_MAY_REVOKE_ACCESS))


async def _recheck(connection: AnyConnection) -> Principal:
    principal = await _authenticate(connection)
    needed = connection.route_handler.opt[_NEEDED_SCOPE]
    if needed not in principal.scopes:
        raise MissingScope(needed)
    return principal


async def _authenticate(connection: AnyConnection) -> Principal:
    authenticator: Authenticator = connection.app.state.authenticator
    principal: Principal | None = None
    if (key := _key_of(connection)) is not None:
        principal = await authenticator.authenticate_key(key)
    elif (token := _token_of(connection)) is not None:
        principal = await authenticator.authenticate_token(token)
    elif authenticator.open:
        principal = await authenticator.authenticate_anonymous()
    if principal is None:
        raise KeyRequired
    principal.require_active(datetime.now(UTC))
    return principal


def _key_of(connection: AnyConnection) -> str | None:
    values = connection.headers.getall("authorization", [])
    if len(values) > 1:
        raise InvalidKey("Authorization is given more than once")
    scheme, _, key = "".join(values).partition(" ")
    # Another scheme is meant for an intermediary, such as a proxy with passwords.
    return key.strip(" ") if scheme.lower() == "bearer" else None


def _token_of(connection: AnyConnection) -> ParsedToken | None:
    """Return the token in the address, on a route that accepts one. Raises InvalidToken."""
    if not connection.route_handler.opt.get(_ACCEPTS_TOKEN):
        return None
    text = connection.query_params.get("token")
    if text is None:
        return None
    token = parse_token(text)
    [opened] = connection.path_params.values()
    if str(token.resource_id) != opened.lower():
        raise InvalidToken("the token is for the events of something else")
    # The expiry limits when a stream can be opened; an open one lasts as long as the key is valid.
    is_open_stream = _CALLER in connection.scope["state"]
    if not is_open_stream and token.expires_at <= datetime.now(UTC):
        raise InvalidToken("the token has expired; POST …/events-token creates another")
    return token


def _handlers_of(route: Any) -> Iterable[BaseRouteHandler]:  # noqa: ANN401 - three kinds of routes
    handlers: Iterable[BaseRouteHandler] = getattr(route, "route_handlers", ())
    return handlers
