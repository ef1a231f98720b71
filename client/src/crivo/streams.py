"""The interface of responses that are read in parts, over lost connections."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias, TypeVar

from crivo.errors import CrivoError
from crivo.wire import Reply, Request

T_co = TypeVar("T_co", covariant=True)
# Gets the bytes that are done, and all of them.
OnBytes: TypeAlias = Callable[[int, int], None]


class Stream(Protocol[T_co]):
    """One stream: the next request to send, and the items that arrive. It does no I/O."""

    finished: bool

    def request(self) -> Request:
        """Return the request for the rest."""

    def begin(self, reply: Reply) -> None:
        """Take the head of a response. Raises CrivoError."""

    def items(self, chunk: bytes) -> Iterator[T_co]:
        """Read the items that a chunk completes. Raises CrivoError."""

    def end(self) -> None:
        """Take the end of a response that has arrived as a whole. Raises CrivoError."""

    def failed(self, error: CrivoError | None) -> float:
        """Return the seconds to wait before the next request. Raises the error."""
