"""Exports, asynchronously."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Unpack
from uuid import UUID

from crivo import export_flows as flows
from crivo.aio.calls import AsyncCalls
from crivo.downloads import Download
from crivo.export_flows import OnProgress
from crivo.export_folder import ExportFolder
from crivo.export_lock import LockedFolder
from crivo.export_models import BadRowInfo, Export, ExportFile, Manifest, QueuedExport
from crivo.options import ExportFilter, ExportOptions
from crivo.streams import OnBytes

Id = UUID | str


class AsyncExports(AsyncCalls):
    """A snapshot as Parquet files, deduplicated and partitioned.

    `on_progress` is called with the export about once a second, and at its end.
    """

    async def create(self, dataset: str, **options: Unpack[ExportOptions]) -> QueuedExport:
        """Ask for an export of a dataset such as `events` or `events@4`; it is stored on return."""
        return await self._driver.do(flows.create(self._session, dataset, options=options))

    async def show(self, export: Id) -> Export:
        """Show an export as it is."""
        return await self._driver.do(flows.show(self._session, export))

    async def wait(
        self, export: Id, *, timeout: float | None = None, on_progress: OnProgress | None = None
    ) -> Export:
        """Wait until an export has finished. Raises NotFinished after `timeout` seconds."""
        return await self._driver.do(
            flows.wait(self._session, export, timeout=timeout, on_progress=on_progress)
        )

    def list(
        self, *, page_size: int = 200, **filters: Unpack[ExportFilter]
    ) -> AsyncIterator[Export]:
        """List exports, newest first; pages are requested as they are needed."""
        return self._driver.pages(
            lambda cursor: flows.exports_page(
                self._session, cursor, size=page_size, filters=filters
            )
        )

    def watch(self, export: Id) -> AsyncIterator[Export]:
        """Yield an export as its tasks end, at most once a second, until it has finished."""
        return self._states(flows.path_of(export, "events"), Export)

    async def cancel(self, export: Id) -> Export:
        """Cancel an export; nothing of it is published. Raises Conflict if it has finished."""
        return await self._driver.do(flows.cancel(self._session, export))

    def files(self, export: Id, *, page_size: int = 200) -> AsyncIterator[ExportFile]:
        """List the files by path."""
        return self._driver.pages(
            lambda cursor: flows.files_page(self._session, export, cursor, size=page_size)
        )

    def file_chunks(self, export: Id, path: str) -> AsyncIterator[bytes]:
        """Read the exact bytes of a file in constant memory."""
        return self._bytes(flows.path_of_file(export, path))

    async def download(
        self, export: Id, folder: Path | str | LockedFolder, *, on_progress: OnBytes | None = None
    ) -> Manifest:
        """Put the files into a folder, below `year=…/month=…`; return their manifest.

        `_SUCCESS` is written last. Files that only earlier exports have put there are deleted, and
        others are left alone. Called again after it was killed, it goes on where it stopped.
        `on_progress` is called with the bytes that have arrived, and with all. Raises Conflict if
        the export has not finished, NotFound if its files are elsewhere, ExportInProgress, OSError.
        """
        manifest = await self.manifest(export)
        retry = self._session.patient().retry
        target = ExportFolder(folder, manifest)
        with target.locked():
            missing = await asyncio.to_thread(target.missing)
            done, total = 0, sum(each.bytes for each in missing)
            for each in missing:
                with target.staging(each) as file:
                    address = flows.path_of_file(export, each.path)
                    chunks = self._driver.stream(Download(address, retry=retry))
                    async for chunk in chunks:
                        # To the page cache: a thread for each chunk would cost more.
                        done += file.write(chunk)
                        if on_progress is not None:
                            on_progress(done, total)
            await asyncio.to_thread(target.publish)
        return manifest

    def errors(
        self, export: Id, *, excerpt: bool = False, page_size: int = 200
    ) -> AsyncIterator[BadRowInfo]:
        """List the rows that were not exported, with the beginnings of their lines."""
        return self._driver.pages(
            lambda cursor: flows.errors_page(
                self._session, export, cursor, size=page_size, excerpt=excerpt
            )
        )

    async def ddl(
        self,
        export: Id,
        dialect: str = "athena",
        *,
        name: str | None = None,
        location: str | None = None,
    ) -> str:
        """Show the SQL that creates a table of the files, and adds its partitions.

        `dialect` is athena, hive or duckdb, `name` is `table` or `database.table`, and `location`
        the URL of the folder with the files, by default the destination.
        """
        return await self._driver.do(
            flows.ddl(self._session, export, dialect, name=name, location=location)
        )

    async def manifest(self, export: Id) -> Manifest:
        """Show all files of an export. Raises Conflict if it has not finished."""
        return await self._driver.do(flows.manifest(self._session, export))
