"""Read request bodies, capped, without ever decoding the user's data."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from msgspec import UNSET, Meta, UnsetType

from app.errors import MalformedRequest, Problem, invalid_parameter
from app.fair_queue import FairQueue
from app.http.authorization import caller_of
from app.http.decompression import ENCODINGS, decompressed
from app.validation import (
    InvalidTexts,
    convert_texts,
    decode_json,
    in_utc,
    refused_parameters,
)

T = TypeVar("T")

AnyRequest = Request[Any, Any, Any]


class BodyTooLarge(Problem):
    """The body is over the limit of its route."""

    status = 413
    code = "body-too-large"
    title = "The body is too large"


class UnsupportedMediaType(Problem):
    """The body comes in a form that the route does not read."""

    status = 415
    code = "unsupported-media-type"
    title = "The body's media type is not supported here"


class ClientGone(Problem):
    """The client left in the middle of its body; nobody reads this answer."""

    status = 400
    code = "client-gone"
    title = "The body ended before its end"


_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def media_type_of(request: AnyRequest) -> str:
    """Give the body's media type without parameters, in lower case; empty when not named."""
    return str(request.content_type[0]).lower()


def described_type(request: AnyRequest) -> str:
    """Say what the body claims to be, and where such a claim comes from."""
    media_type = media_type_of(request)
    if media_type == "application/x-www-form-urlencoded":
        return (
            f"Content-Type is {media_type}, which curl says unless told otherwise; its -d drops "
            "newlines, where --data-binary keeps them"
        )
    return f"Content-Type is {media_type or 'missing'}"


def require_utf8(charset: str | None, *, what: str) -> None:
    """Refuse a text in any character set but UTF-8 and its part ASCII.

    Nothing is ever decoded by a name that a client chooses: some of Python's codecs take
    quadratic time, others make text that no database stores. Raises UnsupportedMediaType.
    """
    if charset is not None and charset.strip().lower() not in _UTF8:
        raise UnsupportedMediaType(f"{what} is in charset {charset[:40]!r}; send UTF-8")


def require_identity_encoding(request: AnyRequest) -> None:
    """Refuse a compressed body. Raises UnsupportedMediaType."""
    encoding_of(request, allowed={})


def encoding_of(request: AnyRequest, *, allowed: Mapping[str, str]) -> str | None:
    """Give the body's encoding by its name among those allowed, None for identity.

    Raises UnsupportedMediaType for any other.
    """
    encoding = ",".join(request.headers.getall("content-encoding", [])).strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in allowed:
        known = sorted(set(allowed.values()))
        choices = f"{' or '.join(known)}, or send the body" if known else "send the body"
        raise UnsupportedMediaType(
            f"Content-Encoding {encoding!r} is not supported here; {choices} as it is",
            headers={"Accept-Encoding": ", ".join(known) or "identity"},
        )
    return allowed[encoding]


def announced_bytes(request: AnyRequest) -> int:
    """Give the size that a body is going to have, 0 where its head does not tell."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    return (request.content_length or 0) if encoding in ("", "identity") else 0


async def stream_body(
    request: AnyRequest, *, max_bytes: int, compressed: bool = False
) -> AsyncIterator[bytes]:
    """Yield the body as it comes, decompressed where it may be `compressed`.

    Raises BodyTooLarge at the first byte too many, before and after decompression, ClientGone,
    UnsupportedMediaType for an encoding that is not known, MalformedRequest for one that lies.
    """
    encoding = encoding_of(request, allowed=ENCODINGS if compressed else {})
    chunks = _received(request, max_bytes=max_bytes)
    if encoding is None:
        async for chunk in chunks:
            yield chunk
        return
    size_bytes = 0
    who = caller_of(request)
    turns: FairQueue = request.app.state.decompression
    async for piece in decompressed(
        chunks, encoding, turns=turns, tenant=who.tenant, weight=who.weight
    ):
        size_bytes += len(piece)
        if size_bytes > max_bytes:
            raise BodyTooLarge(
                f"the body has more than {max_bytes} bytes, the limit, once it is decompressed"
            )
        yield piece


async def _received(request: AnyRequest, *, max_bytes: int) -> AsyncIterator[bytes]:
    announced = request.content_length
    if announced is not None and announced > max_bytes:
        raise BodyTooLarge(f"the body has {announced} bytes; the limit is {max_bytes}")
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > max_bytes:
                raise BodyTooLarge(f"the body has more than {max_bytes} bytes, the limit")
            if chunk:
                yield chunk
    except InternalServerException as error:
        # Litestar's word for a connection that was closed in the middle of a body.
        raise ClientGone(f"the connection was closed after {received} bytes") from error


async def read_body(request: AnyRequest, *, max_bytes: int) -> bytes:
    """Read a body that is small by its nature. Raises as stream_body."""
    return b"".join([chunk async for chunk in stream_body(request, max_bytes=max_bytes)])


async def read_json(request: AnyRequest, shape: type[T], *, max_bytes: int, hint: str = "") -> T:
    """Read a JSON body into a struct; `hint` ends the refusal of what is not JSON.

    Raises UnsupportedMediaType, MalformedRequest for what is not JSON, InvalidRequest with a
    JSON pointer for each member that does not fit the struct.
    """
    if media_type_of(request) != "application/json":
        raise UnsupportedMediaType(
            f"{described_type(request)}; send JSON with -H 'Content-Type: application/json'"
        )
    require_utf8(request.content_type[1].get("charset"), what="the body")
    body = await read_body(request, max_bytes=max_bytes)
    try:
        return decode_json(body, shape)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedRequest(f"the body is not JSON: {error}{hint}") from None


def read_query(request: AnyRequest, shape: type[T], *, many: Collection[str] = ()) -> T:
    """Read the query into a struct; those named in `many` may come more than once.

    Raises InvalidRequest for what does not fit, is not known, or comes twice.
    """
    found = single_values(request, many=many)
    lists = {name: request.query_params.getall(name, []) for name in many if name in found}
    try:
        return convert_texts({**found, **lists}, shape)
    except InvalidTexts as error:
        raise refused_parameters(error.faults) from None


def single_values(request: AnyRequest, *, many: Collection[str] = ()) -> dict[str, str]:
    """Give each query parameter's value; one that comes twice would be dropped in silence.

    Raises InvalidRequest for such a one, unless it is named in `many`.
    """
    query = request.query_params
    for name in query:
        if name not in many and len(query.getall(name)) > 1:
            raise invalid_parameter(name, "comes more than once")
    return {name: query[name] for name in query}


def parse_datetime(name: str, text: str | UnsetType) -> datetime | None:
    """Read a query parameter that is a moment, None where it is not set. Raises InvalidRequest."""
    if text is UNSET:
        return None
    try:
        found: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
    except msgspec.ValidationError:
        message = f"{text!r} is no moment with its offset from UTC; write 2026-01-31T12:00:00Z"
        raise invalid_parameter(name, message) from None
    return in_utc(name, found)
