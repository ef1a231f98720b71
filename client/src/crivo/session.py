"""The state that the flows of one client share."""

from collections.abc import Sequence
from copy import copy
from typing import Self

from msgspec.structs import replace

from crivo.errors import InvalidKey
from crivo.retries import Flow, Keys, Retry, deliver
from crivo.wire import Reply, Request, T, checked_url


class Session:
    """The service's URL, the key, and how often requests are repeated."""

    def __init__(self, url: str, key: str | None, *, retry: Retry) -> None:
        """Check URL and key. Raises InvalidUrl, InvalidKey."""
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise InvalidKey("the key holds a character that no key has; was it copied whole?")
        self.url = checked_url(url)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.retry = retry
        self.keys = Keys()

    def deliver(self, request: Request) -> Flow[Reply]:
        """Carry out a request. Raises CrivoError."""
        return (yield from deliver(request, retry=self.retry, keys=self.keys))

    def fetch(self, request: Request, shape: type[T]) -> Flow[T]:
        """Carry out a request, and read the response."""
        return (yield from self.deliver(request)).decode(shape)

    def get(self, path: str, shape: type[T], query: Sequence[tuple[str, str]] = ()) -> Flow[T]:
        """Read a resource."""
        return (yield from self.fetch(Request(method="GET", path=path, query=query), shape))

    def with_attempts(self, factor: int) -> Self:
        """Copy it with as many times the attempts, unless requests are not repeated at all."""
        patient = copy(self)
        if self.retry.attempts > 1:
            patient.retry = replace(self.retry, attempts=self.retry.attempts * factor)
        return patient
