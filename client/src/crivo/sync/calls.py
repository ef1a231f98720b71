"""Calls about one kind of resource, synchronously."""

from collections.abc import Iterator

from crivo.downloads import Download
from crivo.events import Watch
from crivo.sync.driver import Driver
from crivo.waits import EndingT


class Calls:
    """Calls that the driver of a client carries out."""

    def __init__(self, driver: Driver) -> None:
        """Use the driver of a client."""
        self._driver = driver
        self._session = driver.session

    def _states(self, path: str, shape: type[EndingT]) -> Iterator[EndingT]:
        """Follow the events of a resource."""
        return self._driver.stream(Watch(path, shape, retry=self._session.retry))

    def _bytes(self, path: str) -> Iterator[bytes]:
        """Read exact bytes in constant memory."""
        return self._driver.stream(Download(path, retry=self._session.retry))
