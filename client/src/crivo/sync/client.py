"""The synchronous client."""

from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import httpx

from crivo import execution_flows as flows
from crivo.bodies import Data
from crivo.models import Ready, Result
from crivo.options import Ref, SubmitOptions
from crivo.retries import Retry
from crivo.session import Session
from crivo.sync.batches import Batches
from crivo.sync.comparisons import Comparisons
from crivo.sync.datasets import Datasets
from crivo.sync.dead_letters import DeadLetters
from crivo.sync.driver import Driver
from crivo.sync.executions import Executions
from crivo.sync.exports import Exports
from crivo.sync.pipes import Pipes
from crivo.sync.redrives import Redrives
from crivo.sync.runs import Runs
from crivo.sync.schemas import Schemas
from crivo.sync.scripts import Scripts
from crivo.transport import client_options


class Crivo:
    """A client of one Crivo service; threads may share it.

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
        self._http = httpx.Client(**options)
        self._driver = Driver(session, self._http, timeout=timeout)
        self.url = session.url
        self.scripts = Scripts(self._driver)
        self.schemas = Schemas(self._driver)
        self.executions = Executions(self._driver)
        self.batches = Batches(self._driver)
        self.comparisons = Comparisons(self._driver)
        self.datasets = Datasets(self._driver)
        self.runs = Runs(self._driver)
        self.exports = Exports(self._driver)
        self.redrives = Redrives(self._driver)
        self.dead_letters = DeadLetters(self._driver)
        self.pipes = Pipes(self._driver)

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run(
        self,
        script: Ref,
        data: Data,
        *,
        media_type: str | None = None,
        timeout: float | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Result:
        """Submit data and wait for the result: `executions.run`."""
        return self.executions.run(script, data, media_type=media_type, timeout=timeout, **options)

    def ready(self) -> Ready:
        """Ask for the state of the service."""
        return self._driver.do(flows.ready())
