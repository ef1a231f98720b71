"""Bring datasets and exports to the cache, as Parquet files that DuckDB reads as tables."""

from collections.abc import Callable, Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection
from msgspec import Struct, json

from crivo.dataset_models import Dataset
from crivo.errors import ExportDamaged, InvalidSource
from crivo.export_folder import SUCCESS
from crivo.export_models import Manifest
from crivo.queries.cache import scratch
from crivo.queries.oddities import oddities
from crivo.queries.readers import (
    as_identifier,
    as_list,
    column_types,
    exact_columns,
    reader_of,
    write_parquet,
)
from crivo.streams import OnBytes
from crivo.sync.client import Crivo


class Table(Struct, frozen=True, kw_only=True):
    """A table as SQL that reads files, which are all that it reads."""

    sql: str
    files: Sequence[Path]


class Tables:
    """Finds the tables of one service."""

    def __init__(
        self, client: Crivo, cache: Path, on_progress: OnBytes, warn: Callable[[str], None]
    ) -> None:
        """Use a client and a cache; `warn` is told what single records change."""
        self._client = client
        self._cache = cache
        self._on_progress = on_progress
        self._warn = warn

    def export(self, export: str) -> Table:
        """Find the files of an export. Raises Refused."""
        folder = self._cache / "exports" / str(self._client.exports.show(export).id)
        if (folder / SUCCESS).exists():
            name = (folder / SUCCESS).read_text().strip()
            manifest = json.decode((folder / name).read_bytes(), type=Manifest)
        else:
            manifest = self._client.exports.download(export, folder, on_progress=self._on_progress)
        if not manifest.files:
            raise InvalidSource(f"export {export} has no files, so it has no columns either")
        files = [folder / each.path for each in manifest.files]
        sizes = [each.bytes for each in manifest.files]
        if [path.stat().st_size for path in files] != sizes:
            raise ExportDamaged(f"{folder} has changed; delete it")
        types = {each.name: each.type for each in manifest.columns}
        levels = ", ".join(
            # A year, month, day or hour, or else a text.
            f"{as_identifier(name)}: {'INTEGER' if types.get(name) == 'int' else 'VARCHAR'}"
            for name in manifest.partition_by
        )
        options = f", hive_partitioning = true, hive_types = {{{levels}}}" if levels else ""
        source = f"read_parquet({as_list(files)}{options})"
        if levels:
            # DuckDB has them by their names.
            names = ", ".join(map(as_identifier, manifest.partition_by))
            source = f"(SELECT * EXCLUDE ({names}), {names} FROM {source})"  # noqa: S608 - quoted
        return Table(sql=source, files=files)

    def dataset(self, reference: str, database: DuckDBPyConnection) -> Table:
        """Find the records of a snapshot, in the order of the files. Raises Refused."""
        found = self._client.datasets.show(reference)
        snapshot = found.snapshot or found.latest_snapshot
        if snapshot is None:
            raise InvalidSource(f"dataset {found.name} has no snapshot yet")
        target = self._cache / "datasets" / f"{found.id}-{snapshot.number}.parquet"
        odd = target.with_suffix(".txt")
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            self._convert(found, f"{found.name}@{snapshot.number}", target, odd, database)
        if odd.exists():
            for each in odd.read_text(encoding="utf-8").splitlines():
                self._warn(f"{found.name}@{snapshot.number}: {each}")
        return Table(sql=f"read_parquet({as_list([target])})", files=[target])

    def _convert(
        self,
        found: Dataset,
        reference: str,
        target: Path,
        odd: Path,
        database: DuckDBPyConnection,
    ) -> None:
        with scratch(self._cache) as folder:
            named = self._download(reference, folder)
            files = [path for _, path in named]
            new = folder / "new.parquet"
            write_parquet(database, reader_of(found.format, files), new)
            if found.format == "jsonl":
                types = column_types(database, new)
                exact = exact_columns(database, files, types)
                if exact is not None:
                    write_parquet(database, reader_of(found.format, files, columns=exact), new)
                said = [each.replace("\n", " ") for each in oddities(types, named)]
                if said:
                    odd.write_text("\n".join(said), encoding="utf-8")
            new.replace(target)

    def _download(self, reference: str, folder: Path) -> list[tuple[str, Path]]:
        """Download the files of a snapshot, in their order; return them with their paths there."""
        files = list(self._client.datasets.files(reference))
        if not files:
            raise InvalidSource(f"{reference} has no files, so it has no columns either")
        done, total = 0, sum(each.raw_bytes for each in files)
        local: list[tuple[str, Path]] = []
        for number, each in enumerate(files):
            path = folder / f"{number:06}"
            with path.open("xb") as opened:
                for chunk in self._client.datasets.file_chunks(reference, each.path):
                    done += opened.write(chunk)
                    self._on_progress(done, total)
            local.append((each.path, path))
        return local
