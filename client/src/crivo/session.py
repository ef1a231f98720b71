"""The state that the flows of one client share."""

from collections.abc import Sequence
from copy import copy
from typing import Self

from crivo.errors import InvalidKey
from crivo.retries import Flow, Keys, Retry, deliver, patient
from crivo.wire import Reply, Request, T, checked_url


class Contact:
    """Whether the service has ever responded: one that has not is not waited for."""

    def __init__(self) -> None:
        """Assume nothing about the service."""
        self.is_made = False


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
        self.contact = Contact()

    def deliver(self, request: Request) -> Flow[Reply]:
        """Carry out a request. Raises CrivoError."""
        reply = yield from deliver(request, retry=self.retry, keys=self.keys)
        self.contact.is_made = True
        return reply

    def fetch(self, request: Request, shape: type[T]) -> Flow[T]:
        """Carry out a request, and read the response."""
        return (yield from self.deliver(request)).decode(shape)

    def get(self, path: str, shape: type[T], query: Sequence[tuple[str, str]] = ()) -> Flow[T]:
        """Read a resource."""
        return (yield from self.fetch(Request(method="GET", path=path, query=query), shape))

    def patient(self, *, deadline: float | None = None) -> Self:
        """Copy it with more attempts, for what takes long; after a deadline there are no more."""
        copied = copy(self)
        copied.retry = patient(self.retry, deadline=deadline)
        return copied
