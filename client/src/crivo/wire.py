"""Requests and responses of the API, independent of how they travel."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

from msgspec import DecodeError, Struct, ValidationError
from msgspec.structs import replace

from crivo.bodies import Body
from crivo.errors import CrivoError, EmptyName, InvalidUrl, UnexpectedResponse
from crivo.json_text import decode
from crivo.refusals import refusal

T = TypeVar("T")

JSON: Final = {"Content-Type": "application/json"}

_MAX_SHOWN: Final = 120
_REDIRECTS: Final = range(300, 400)
_FIRST_ERROR: Final = 400


class Request(Struct, frozen=True, kw_only=True):
    """One request; `path` is relative to the service's URL and already quoted.

    `creates`: each time it is carried out, it creates something, unless it carries the same `key`
    (None: a new one). `overwrites`: it may undo a change that somebody made meanwhile. `wait` is
    the number of seconds that the service may take longer than usual. A refusal with one of
    `final_codes` ends the attempts.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = {}
    body: Body | None = None
    creates: bool = False
    key: str | None = None
    overwrites: bool = False
    wait: float = 0.0
    final_codes: frozenset[str] = frozenset()

    def with_key(self, key: str) -> "Request":
        """Copy it with an idempotency key, which the draft of the IETF writes in quotes."""
        return replace(self, headers={**self.headers, "Idempotency-Key": f'"{key}"'})


class Reply(Struct, frozen=True, kw_only=True):
    """A response that has been read; header names are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes = b""

    @property
    def retry_after(self) -> float | None:
        """The seconds of `Retry-After`, a number or a date."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())

    @property
    def error(self) -> CrivoError | None:
        """The error that the response is; None: it is a success."""
        if self.status in _REDIRECTS:
            target = self.headers.get("location", "nowhere")
            message = f"{self.url} redirects to {target}; use the URL of the service itself"
            return UnexpectedResponse(message, status=self.status)
        if self.status < _FIRST_ERROR:
            return None
        error = refusal(self.content) or self.unexpected("a problem document")
        error.retry_after = self.retry_after
        return error

    def decode(self, shape: type[T]) -> T:
        """Read the JSON body. Raises UnexpectedResponse."""
        try:
            return decode(self.content, shape)
        except (DecodeError, ValidationError):
            raise self.unexpected("Crivo's JSON") from None

    def unexpected(self, expected: str) -> UnexpectedResponse:
        """Describe a response that the API does not send."""
        kind = self.headers.get("content-type", "no content type")
        message = (
            f"{self.url} responded {self.status} with {kind[:_MAX_SHOWN]} instead of {expected}; "
            "is it the URL of Crivo, and is there a proxy in between?"
        )
        return UnexpectedResponse(message, status=self.status)


def segment(text: object) -> str:
    """Quote one segment of a path; `@` of a reference stays readable."""
    return quote(str(text), safe="@")


def path_to(collection: str, name: object, part: str = "") -> str:
    """Return the path of a resource of a collection, or of a part of it. Raises EmptyName."""
    if not str(name):
        # It would be the path of the collection.
        raise EmptyName(f"an empty text names none of the {collection}")
    path = f"/{collection}/{segment(name)}"
    return f"{path}/{part}" if part else path


def path_segments(path: str) -> str:
    """Quote the path of a file, whose slashes stay."""
    return quote(path, safe="/@")


def checked_url(url: str) -> str:
    """Return a service's URL without a final slash. Raises InvalidUrl."""
    # Whatever is before an @ may be a password.
    shown = re.sub(r"//.*@", "//…@", url)
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
        if host and host.isascii():
            # As the resolver does, whose error for an empty or a long label is not httpx's.
            host.encode("idna")
    except ValueError as error:
        raise InvalidUrl(f"{shown!r} is not a URL: {error}") from None
    is_text = url.strip().isprintable() and " " not in url.strip()
    if parts.scheme not in {"http", "https"} or not host or not is_text:
        raise InvalidUrl(f"{shown!r} is not the URL of a service; write http://… or https://…")
    if parts.username or parts.password:
        raise InvalidUrl("the URL must not hold a user or password; pass the key separately")
    if parts.query or parts.fragment:
        raise InvalidUrl(f"{shown!r} must not hold a query or a fragment")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine, to which no proxy leads."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
