"""Calls about one kind of resource, asynchronously."""

from collections.abc import AsyncIterator

from crivo.aio.driver import AsyncDriver
from crivo.downloads import Download
from crivo.events import Watch
from crivo.waits import EndingT


class AsyncCalls:
    """Calls that the driver of a client carries out."""

    def __init__(self, driver: AsyncDriver) -> None:
        """Use the driver of a client."""
        self._driver = driver
        self._session = driver.session

    def _states(self, path: str, shape: type[EndingT]) -> AsyncIterator[EndingT]:
        """Follow the events of a resource."""
        return self._driver.stream(Watch(path, shape, retry=self._session.retry))

    def _bytes(self, path: str) -> AsyncIterator[bytes]:
        """Read exact bytes in constant memory."""
        return self._driver.stream(Download(path, retry=self._session.retry))
