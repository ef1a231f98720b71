"""Datasets, synchronously."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Unpack

from crivo import dataset_flows as flows, record_flows
from crivo.dataset_models import Dataset, File, Record, Sent, Snapshot
from crivo.folders import find_files
from crivo.options import DatasetOptions, SendOptions
from crivo.record_flows import Key
from crivo.saving import replacing
from crivo.sending import PARALLEL, Sending
from crivo.sync.calls import Calls
from crivo.sync.sending import send


class Datasets(Calls):
    """Files of lines, and their records by key.

    `dataset` is a name such as `scores`, and where something is read also a reference such as
    `scores@7`.
    """

    def put(self, dataset: str, **options: Unpack[DatasetOptions]) -> Dataset:
        """Create a dataset, or change its description and retention. Raises Conflict."""
        return self._driver.do(flows.put(self._session, dataset, {**options}))

    def show(self, dataset: str) -> Dataset:
        """Show a dataset with its newest snapshot, and with the one that a reference names."""
        return self._driver.do(flows.show(self._session, dataset))

    def list(self, *, page_size: int = 200) -> Iterator[Dataset]:
        """List datasets, newest first; pages are requested as they are needed."""
        return self._driver.pages(
            lambda cursor: flows.datasets_page(self._session, cursor, size=page_size)
        )

    def delete(self, dataset: str) -> None:
        """Delete a dataset with all its snapshots and files, for good."""
        self._driver.do(flows.delete(self._session, dataset))

    def snapshots(self, dataset: str, *, page_size: int = 200) -> Iterator[Snapshot]:
        """List the snapshots of a dataset, newest first."""
        return self._driver.pages(
            lambda cursor: flows.snapshots_page(self._session, dataset, cursor, size=page_size)
        )

    def delete_snapshot(self, dataset: str, number: int) -> None:
        """Delete a snapshot, and the files that no other one has. Raises Conflict."""
        self._driver.do(flows.delete_snapshot(self._session, dataset, number))

    def files(self, dataset: str, *, page_size: int = 200) -> Iterator[File]:
        """List the files of a snapshot by path; name the snapshot while others publish."""
        return self._driver.pages(
            lambda cursor: flows.files_page(self._session, dataset, cursor, size=page_size)
        )

    def file_chunks(self, dataset: str, path: str) -> Iterator[bytes]:
        """Read the exact bytes of a file in constant memory."""
        return self._bytes(flows.path_of_file(dataset, path))

    def download(self, dataset: str, path: str, target: Path | BinaryIO) -> int:
        """Write a file's exact bytes; return their number. A Path gets all of them, or none."""
        if isinstance(target, Path):
            with replacing(target) as file:
                return self.download(dataset, path, file)
        return sum(target.write(chunk) for chunk in self.file_chunks(dataset, path))

    def record(self, dataset: str, key: Key) -> Record:
        """Find the record of a key. Raises NotFound."""
        return self._driver.do(record_flows.record(self._session, dataset, key))

    def records(self, dataset: str, keys: Sequence[Key]) -> Iterator[tuple[Key, Record | None]]:
        """Find the records of many keys in one snapshot; yield each key with its own, or None."""
        return self._driver.pages(record_flows.KeyPages(self._session, dataset, keys).page)

    def history(self, dataset: str, key: Key, *, limit: int = 100) -> Sequence[Record]:
        """List the values of a key, newest first, with the snapshots that added them."""
        return self._driver.do(record_flows.history(self._session, dataset, key, limit=limit))

    def lines(self, dataset: str, *, start: int = 0, page_size: int = 1_000) -> Iterator[bytes]:
        """Read the lines of a snapshot in the order of its files, from line `start` on."""
        return self._driver.pages(
            lambda cursor: record_flows.lines_page(
                self._session, dataset, cursor, start=start, size=page_size
            )
        )

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
        lines and for files that change meanwhile, SendInProgress, NothingToSend, OSError.
        """
        source = Path(source)
        found = find_files(source, include=options.get("include", ()))
        if "only" in options:
            found = found.only(options["only"])
        sending = Sending(self._session, source, dataset, found=found, key=key, options=options)
        return send(self._driver, sending, parallel=options.get("parallel", PARALLEL))
