"""The asynchronous client."""

from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import httpx

from crivo import execution_flows as flows
from crivo.aio.batches import AsyncBatches
from crivo.aio.comparisons import AsyncComparisons
from crivo.aio.datasets import AsyncDatasets
from crivo.aio.dead_letters import AsyncDeadLetters
from crivo.aio.driver import AsyncDriver
from crivo.aio.executions import AsyncExecutions
from crivo.aio.exports import AsyncExports
from crivo.aio.pipes import AsyncPipes
from crivo.aio.redrives import AsyncRedrives
from crivo.aio.runs import AsyncRuns
from crivo.aio.schemas import AsyncSchemas
from crivo.aio.scripts import AsyncScripts
from crivo.bodies import Data
from crivo.models import Ready, Result
from crivo.options import Ref, SubmitOptions
from crivo.retries import Retry
from crivo.session import Session
from crivo.transport import client_options


class AsyncCrivo:
    """A client of one Crivo service; tasks of one event loop may share it.

    `timeout` is the number of seconds that the service may be silent. `ca_file` holds certificate
    authorities to trust instead of the default ones. Raises InvalidUrl, InvalidKey.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        retry: Retry | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """Open no connection yet."""
        session = Session(url, key, retry=retry or Retry())
        options = client_options(session.url, session.headers, timeout=timeout, ca_file=ca_file)
        self._http = httpx.AsyncClient(**options)
        self._driver = AsyncDriver(session, self._http, timeout=timeout)
        self.url = session.url
        self.scripts = AsyncScripts(self._driver)
        self.schemas = AsyncSchemas(self._driver)
        self.executions = AsyncExecutions(self._driver)
        self.batches = AsyncBatches(self._driver)
        self.comparisons = AsyncComparisons(self._driver)
        self.datasets = AsyncDatasets(self._driver)
        self.runs = AsyncRuns(self._driver)
        self.exports = AsyncExports(self._driver)
        self.redrives = AsyncRedrives(self._driver)
        self.dead_letters = AsyncDeadLetters(self._driver)
        self.pipes = AsyncPipes(self._driver)

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def run(
        self,
        script: Ref,
        data: Data,
        *,
        media_type: str | None = None,
        timeout: float | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Result:
        """Submit data and wait for the result: `executions.run`."""
        return await self.executions.run(
            script, data, media_type=media_type, timeout=timeout, **options
        )

    async def ready(self) -> Ready:
        """Ask for the state of the service."""
        return await self._driver.do(flows.ready())
