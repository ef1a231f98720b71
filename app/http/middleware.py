"""Apply request ids, security headers, CORS and limits of the head to every request."""

from http import HTTPStatus
from typing import Final

import structlog

from app.errors import Problem
from app.http.asgi import App, Message, Receive, Scope, Send
from app.http.problems import send_problem
from app.http.request_id import RATE_HEADERS, name_request

log = structlog.get_logger(__name__)

# Key in a request's state: CORS allows its origin, so app.http.loopback admits it.
ALLOWED_ORIGIN: Final = "allowed_origin"

MAX_TARGET_BYTES: Final = 8 * 1024
MAX_HEADERS: Final = 100
MAX_HEADERS_BYTES: Final = 32 * 1024

# Browsers must not render, frame or sniff JSON. /docs has its own policy.
_SECURITY: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)

_ALLOWED_HEADERS: Final = (
    b"Authorization, Content-Type, Content-Encoding, Idempotency-Key, If-Match, If-None-Match, "
    b"Last-Event-ID, Prefer, traceparent, X-Request-Id"
)
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", _ALLOWED_HEADERS),
    (b"access-control-max-age", b"600"),
)
_EXPOSED: Final = (
    b"access-control-expose-headers",
    (
        b"Location, ETag, Idempotency-Replayed, Preference-Applied, Retry-After, RateLimit, "
        b"RateLimit-Policy, WWW-Authenticate, X-Request-Id"
    ),
)


class TargetTooLong(Problem):
    """The request's target is longer than that of any route."""

    status = 414
    code = "address-too-long"
    title = "The address is too long"


class HeadTooLarge(Problem):
    """The request has too many or too large headers."""

    status = 431
    code = "headers-too-large"
    title = "The headers are too many or too large"


def with_standard_headers(app: App, *, cors_origins: frozenset[str] = frozenset()) -> App:
    """Wrap the whole application, including errors of its router."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request_id = name_request(scope)
        origin = _origin_of(scope)
        allowed = origin if origin in cors_origins else None
        around = [(b"x-request-id", request_id.encode()), *_cors(allowed, known=bool(cors_origins))]
        send = _with_headers(send, scope, around)
        refusal = _refusal(scope)
        if refusal is not None:
            await send_problem(scope, refusal, send)
        elif allowed is not None and _is_preflight(scope):
            start = {"type": "http.response.start", "status": HTTPStatus.NO_CONTENT}
            await send({**start, "headers": list(_PREFLIGHT)})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            scope["state"][ALLOWED_ORIGIN] = allowed is not None
            await app(scope, receive, send)

    return answer


def origins_in(text: str) -> frozenset[str]:
    """Parse the setting, comma-separated origins."""
    return frozenset(each.strip() for each in text.split(",") if each.strip())


def _with_headers(send: Send, scope: Scope, around: list[tuple[bytes, bytes]]) -> Send:
    async def complete(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            present = {name.lower() for name, _ in headers}
            rate = scope["state"].get(RATE_HEADERS, ())
            headers += [each for each in (*_SECURITY, *around, *rate) if each[0] not in present]
            message = {**message, "headers": headers}
        await send(message)

    return complete


def _refusal(scope: Scope) -> Problem | None:
    target = len(scope["raw_path"]) + len(scope["query_string"])
    if target > MAX_TARGET_BYTES:
        return TargetTooLong(f"the address has {target} bytes; the limit is {MAX_TARGET_BYTES}")
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MAX_HEADERS or size > MAX_HEADERS_BYTES:
        return HeadTooLarge(
            f"there are {len(headers)} headers with {size} bytes; the limits are {MAX_HEADERS} "
            f"and {MAX_HEADERS_BYTES}"
        )
    return None


def _cors(allowed: str | None, *, known: bool) -> list[tuple[bytes, bytes]]:
    """Return the CORS headers: never for all origins, never with credentials.

    Credentials are not needed: pages send API keys in a header themselves.
    """
    if not known:
        return []
    vary = (b"vary", b"Origin")
    if allowed is None:
        return [vary]
    return [vary, (b"access-control-allow-origin", allowed.encode("latin-1")), _EXPOSED]


def _origin_of(scope: Scope) -> str | None:
    found = [value for name, value in scope["headers"] if name == b"origin"]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _is_preflight(scope: Scope) -> bool:
    asked = any(name == b"access-control-request-method" for name, _ in scope["headers"])
    return scope["method"] == "OPTIONS" and asked
