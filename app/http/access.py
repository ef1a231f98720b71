"""Who asks, and whether they may: scopes, callers, and the guard of every route.

Each route says what it needs by `**needs(Scope.READ)`, or that it needs no key by `**NO_KEY`;
`require_needs` refuses an application with a route that says neither.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Protocol, TypedDict
from uuid import UUID

from litestar import Litestar
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityRequirement
from msgspec import Meta, Struct

from app.errors import Problem
from app.fair_queue import DEFAULT_WEIGHT
from app.http.event_tokens import EventsToken, InvalidToken, Presented, parse_token
from app.http.in_flight import InFlight
from app.http.refusals import (
    EXPIRED,
    HOW,
    SUSPENDED,
    InvalidKey,
    MissingScope,
    NoKey,
    TenantSuspended,
)
from app.http.request_id import (
    RATE_HEADERS,
    AnyConnection,
    address_of,
    request_id_of,
    traceparent_of,
)
from app.outages import DatabaseUnavailable

# The security scheme's name in the OpenAPI document.
SCHEME: Final = "key"
_NEEDS: Final = "needs"
_ENDS_ACCESS: Final = "ends_access"
_IN_ADDRESS: Final = "credential_in_address"
_CALLER: Final = "caller"
# A check this recent is not repeated. The key cache trusts what it knows for 0.9 s: together that
# is the second within which a revocation holds everywhere.
RECENT_SECONDS: Final = 0.1


class Scope(StrEnum):
    """What a key may do. None implies another: a key has what it was given."""

    READ = "read"
    WRITE_SCRIPTS = "scripts:write"
    WRITE_EXECUTIONS = "executions:write"
    ADMIN = "admin"


ALL_SCOPES: Final = frozenset(Scope)


class Via(StrEnum):
    """How somebody got in."""

    KEY = "key"
    # Without a key, where the API runs open.
    OPEN = "open"
    # The operations command, on the database itself.
    COMMAND = "command"


Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Bytes = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class Caps(Struct, frozen=True, kw_only=True):
    """How much a tenant may take; null is the installation's default.

    `max_versions` counts those of all its scripts, `max_stored_bytes` inputs, results and logs.
    """

    max_queued: Count | None = None
    max_running: Count | None = None
    max_stored_bytes: Bytes | None = None
    max_bytes_per_day: Bytes | None = None
    max_scripts: Count | None = None
    max_versions: Count | None = None
    max_requests_per_second: Count | None = None


class Holder(Struct, frozen=True, kw_only=True):
    """Whom a key stands for; without a key, the tenant that an open API works for."""

    tenant: UUID
    suspended: bool
    weight: int
    caps: Caps
    scopes: frozenset[Scope]
    key_id: UUID | None = None
    expires_at: datetime | None = None


class Caller(Struct, kw_only=True):
    """Who makes a request, for whom, and from where.

    `caps` and `weight` (the tenant's share beside others') are those of the last check:
    `require_access` renews them, so this struct is not frozen.
    """

    tenant: UUID
    weight: int = DEFAULT_WEIGHT
    caps: Caps
    via: Via
    key_id: UUID | None
    scopes: frozenset[Scope]
    address: str | None
    request_id: str
    traceparent: str | None = None
    # What access is checked by, and when it last was, by the loop's clock; None for the
    # operations command, which has the database itself.
    connection: AnyConnection | None = None
    checked_at: float = 0.0


class Authenticator(Protocol):
    """What the guard asks: whether a key is needed, and whom one stands for."""

    @property
    def open(self) -> bool:
        """Say whether the API works without keys at the moment."""

    async def holder_of(self, key: str) -> Holder:
        """Verify a key. Raises InvalidKey."""

    async def anonymous(self) -> Holder | None:
        """Give whom a request without a key stands for; None where the API is open no more."""

    async def holder_of_token(self, token: Presented) -> Holder:
        """Verify an events token. Raises InvalidToken."""

    async def events_token(self, key_id: UUID | None, execution_id: UUID) -> EventsToken:
        """Make an events token that is worth what the key is worth. Raises InvalidKey."""


class Counter(Protocol):
    """What the guard tells of every request that somebody makes."""

    def take(self, tenant: UUID, cap: int | None) -> list[tuple[bytes, bytes]]:
        """Count it; give headers that say what is left. Raises QuotaExceeded."""


class Needs(TypedDict):
    """What goes into a route: `@get("/", **needs(Scope.READ))`."""

    opt: dict[str, object]
    security: list[SecurityRequirement]


def needs(scope: Scope, *, ends_access: bool = False) -> Needs:
    """Say that a route needs a key with this scope.

    `ends_access`: what it does may end its own caller's access, who is answered all the same.
    """
    opt: dict[str, object] = {_NEEDS: scope, _ENDS_ACCESS: ends_access}
    return {"opt": opt, "security": [{SCHEME: [str(scope)]}]}


def takes_token(needs: Needs) -> Needs:
    """Say that a token for the execution in the path does as well as a key."""
    return {**needs, "opt": {**needs["opt"], _IN_ADDRESS: True}}


NO_KEY: Final[Needs] = {"opt": {_NEEDS: None}, "security": [{}]}


def require_needs(app: Litestar) -> None:
    """Refuse an application in which a route does not say what it needs."""
    silent = sorted(
        f"{method} {route.path}"
        for route in app.routes
        for handler in _handlers_of(route)
        for method in getattr(handler, "http_methods", ("?",))
        if method != "OPTIONS" and _NEEDS not in handler.opt
    )
    if silent:
        raise RuntimeError(f"these routes do not say which scope they need: {', '.join(silent)}")


async def guard(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Let a request in, or not; who makes it is known from here on.

    Raises NoKey, InvalidKey, TenantSuspended, QuotaExceeded, MissingScope, TooManyRequests.
    """
    if connection.scope.get("method") == "OPTIONS":
        # It says which methods there are, as the reference does; browsers send no key with it.
        return
    needed = handler.opt[_NEEDS]
    if needed is None:
        return
    who = await identify(connection)
    rates: Counter = connection.app.state.rates
    state = connection.scope["state"]
    state[RATE_HEADERS] = rates.take(who.tenant, who.caps.max_requests_per_second)
    if needed not in who.scopes:
        raise MissingScope(needed)
    in_flight: InFlight = connection.app.state.in_flight
    in_flight.begin(who.tenant)
    # From here on: app.http.reauthorization ends what has a caller.
    state[_CALLER] = who


async def identify(connection: AnyConnection) -> Caller:
    """Find out who makes a request. Raises NoKey, InvalidKey, TenantSuspended."""
    checked_at = asyncio.get_running_loop().time()
    holder = await _valid_holder(connection)
    return Caller(
        tenant=holder.tenant,
        weight=holder.weight,
        caps=holder.caps,
        via=Via.OPEN if holder.key_id is None else Via.KEY,
        key_id=holder.key_id,
        scopes=holder.scopes,
        address=address_of(connection),
        request_id=request_id_of(connection),
        traceparent=traceparent_of(connection),
        connection=connection,
        checked_at=checked_at,
    )


async def require_access(who: Caller) -> None:
    """Check that one whom the guard has let in would be let in now, with the caps of now.

    Called before anything is written or shown after a wait: for a body, for a sandbox, for an
    execution's end (`app.http.reauthorization` does so for every route). It asks the key_cache,
    and nobody where the last check is recent. Raises NoKey, InvalidKey, TenantSuspended,
    MissingScope, DatabaseUnavailable.
    """
    now = asyncio.get_running_loop().time()
    if who.connection is None or now - who.checked_at < RECENT_SECONDS:
        return
    holder = await _valid_holder(who.connection)
    needed = who.connection.route_handler.opt[_NEEDS]
    if needed not in holder.scopes:
        raise MissingScope(needed)
    who.caps, who.weight, who.scopes = holder.caps, holder.weight, holder.scopes
    who.checked_at = now


async def reauthorize(connection: AnyConnection) -> bool:
    """Say whether one whom the guard has let in a while ago would be let in now.

    While PostgreSQL is away nobody is sent off.
    """
    try:
        await require_access(caller_of(connection))
    except DatabaseUnavailable:
        return True
    except Problem:
        return False
    return True


def is_open(connection: AnyConnection) -> bool:
    """Say whether requests need no key at the moment."""
    authenticator: Authenticator = connection.app.state.authenticator
    return authenticator.open


async def is_let_in(connection: AnyConnection) -> bool:
    """Say whether a request that needs no key comes from somebody who is known, or all are."""
    if is_open(connection):
        return True
    try:
        await identify(connection)
    except Problem:
        return False
    return True


def caller_of(connection: AnyConnection) -> Caller:
    """Give who makes a request that the guard has let in."""
    who: Caller = connection.scope["state"][_CALLER]
    return who


def caller_in(scope: Mapping[str, Any]) -> Caller | None:
    """Give who makes a request, None where the guard has let nobody in by a key."""
    who: Caller | None = scope.get("state", {}).get(_CALLER)
    return who


def may_end_access(who: Caller) -> bool:
    """Say whether what the route does may end the caller's own access."""
    return who.connection is not None and bool(who.connection.route_handler.opt[_ENDS_ACCESS])


async def _valid_holder(connection: AnyConnection) -> Holder:
    authenticator: Authenticator = connection.app.state.authenticator
    key = _key_of(connection)
    holder: Holder | None = None
    if key is not None:
        holder = await authenticator.holder_of(key)
    elif (token := _token_of(connection)) is not None:
        holder = await authenticator.holder_of_token(token)
    elif authenticator.open:
        holder = await authenticator.anonymous()
    if holder is None:
        raise NoKey(HOW)
    if holder.expires_at is not None and holder.expires_at <= datetime.now(UTC):
        raise InvalidKey(EXPIRED)
    if holder.suspended:
        raise TenantSuspended(SUSPENDED)
    return holder


def _key_of(connection: AnyConnection) -> str | None:
    found = connection.headers.getall("authorization", [])
    if len(found) > 1:
        raise InvalidKey("Authorization comes more than once")
    scheme, _, key = "".join(found).partition(" ")
    # Another scheme is for somebody on the way, such as a proxy with passwords.
    return key.strip(" ") if scheme.lower() == "bearer" else None


def _token_of(connection: AnyConnection) -> Presented | None:
    """Give the token in the address, on a route that takes one. Raises InvalidToken."""
    if not connection.route_handler.opt.get(_IN_ADDRESS):
        return None
    text = connection.query_params.get("token")
    if text is None:
        return None
    token = parse_token(text)
    if str(token.execution_id) != connection.path_params["execution"].lower():
        raise InvalidToken("the token is for another execution")
    # It opens a stream; one that is open stays open for as long as the key would be let in.
    if _CALLER not in connection.scope["state"] and token.expires_at <= datetime.now(UTC):
        raise InvalidToken("the token has expired; POST …/events-token gives another")
    return token


def _handlers_of(route: Any) -> Iterable[BaseRouteHandler]:  # noqa: ANN401 - three kinds of routes
    handlers: Iterable[BaseRouteHandler] = getattr(route, "route_handlers", ())
    return handlers
