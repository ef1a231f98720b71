"""Datasets, synchronously."""

from pathlib import Path
from typing import Unpack

from crivo.dataset_models import Sent
from crivo.folders import find_files
from crivo.options import SendOptions
from crivo.sending import PARALLEL, Sending
from crivo.sync.driver import Driver
from crivo.sync.sending import send


class Datasets:
    """Files of lines, and their records by key."""

    def __init__(self, driver: Driver) -> None:
        """Use the driver of a client."""
        self._driver = driver
        self._session = driver.session

    def send(
        self,
        source: Path | str,
        dataset: str,
        *,
        key: str | None = None,
        **options: Unpack[SendOptions],
    ) -> Sent:
        """Send a directory or a file, and publish it as one snapshot; return what was sent.

        The dataset is created if there is none; `key` is the JSON pointer to its records' key.
        Called again after it was killed, it goes on where it stopped. Raises NotPublished for bad
        lines, and for files that change meanwhile.
        """
        source = Path(source)
        found = find_files(source, include=options.get("include", ()))
        sending = Sending(self._session, source, dataset, found=found, key=key, options=options)
        return send(self._driver, sending, parallel=options.get("parallel", PARALLEL))
