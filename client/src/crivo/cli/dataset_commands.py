"""`crivo get` and `crivo datasets …`: find records, list and download datasets."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal, cast

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt
from msgspec import Raw

from crivo.cli.arguments import Directory, Limit, SendService, Service, pointer_argument
from crivo.cli.exit_codes import UsageError
from crivo.cli.output import DEFAULT_LIMIT, page_size, say, write_bytes, write_json
from crivo.cli.progress import transferring
from crivo.dataset_models import Dataset, RecordDocument
from crivo.errors import UnexpectedResponse
from crivo.options import DatasetOptions
from crivo.record_flows import MAX_HISTORY, Key
from crivo.saving import replacing
from crivo.sync.client import Crivo

# A number as JSON writes it.
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")

datasets = App(
    name="datasets", help="Create, list, show, download and delete datasets.", sort_key=12
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DatasetFlags:
    """What a dataset is."""

    format: Annotated[
        Literal["jsonl", "text", "csv", "bytes"], Parameter(help="What its files are.")
    ] = "jsonl"
    pointer: Annotated[
        str | None,
        Parameter(name="--key", help="JSON pointer to the key of a record, such as `/pk`."),
    ] = None
    schema: Annotated[str | None, Parameter(help="That of its records, such as `events@3`.")] = None
    description: Annotated[str | None, Parameter(help="A text for people.")] = None
    keep_snapshots: Annotated[
        PositiveInt | None, Parameter(help="How many of the newest snapshots are kept.")
    ] = None
    keep_days: Annotated[
        PositiveInt | None, Parameter(help="For how many days snapshots are kept.")
    ] = None

    def options(self) -> DatasetOptions:
        """Return the options that were given."""
        given = {
            "format": self.format,
            "key": pointer_argument("--key", self.pointer),
            "schema": self.schema,
            "description": self.description,
            "keep_snapshots": self.keep_snapshots,
            "keep_days": self.keep_days,
        }
        return cast(DatasetOptions, {k: v for k, v in given.items() if v is not None})


def get(
    dataset: str,
    key: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    number: Annotated[bool, Parameter(show_default=False)] = False,
    snapshot: PositiveInt | None = None,
    history: Annotated[bool, Parameter(show_default=False)] = False,
    service: Service | None = None,
) -> None:
    """Find a record by its key, and print its exact bytes.

    Parameters
    ----------
    dataset
        A name such as `scores`, or a reference such as `scores@7`.
    key
        The key, as text.
    number
        The key is a number, not a string: `123` and `"123"` are two keys.
    snapshot
        The number of the snapshot; by default the newest one.
    history
        Print the values of the key, newest first, with the snapshots that added them; at most
        1,000.
    """
    service = service or Service()
    if snapshot is not None and "@" in dataset:
        raise UsageError(f"--snapshot: {dataset} names a snapshot already")
    ref = dataset if snapshot is None else f"{dataset}@{snapshot}"
    wanted: Key = _number(key) if number else key
    with service.client() as client:
        if not history:
            found = client.datasets.record(ref, wanted)
            write_bytes(iter([found.content, b"\n"]))
            return
        values = client.datasets.history(ref, wanted, limit=MAX_HISTORY)
        for each in values:
            write_json(RecordDocument(snapshot=each.snapshot, record=Raw(each.content)))
    if len(values) == MAX_HISTORY:
        say(f"crivo: these are the newest {MAX_HISTORY} values; older ones are not listed")


@datasets.command(name="list")
def list_datasets(*, limit: Limit = DEFAULT_LIMIT, service: Service | None = None) -> None:
    """List datasets, newest first."""
    service = service or Service()
    with service.client() as client:
        found = client.datasets.list(page_size=page_size(limit))
        service.output.items(
            ("dataset", "format", "key", "snapshot", "published", "files", "records", "bytes"),
            found,
            _cells,
            limit=limit,
            drop=("files", "key", "format"),
        )


@datasets.command
def create(
    dataset: str, /, *, flags: DatasetFlags | None = None, service: SendService | None = None
) -> None:
    """Create an empty dataset, or change its description and retention; omitted ones are reset.

    `crivo send` creates one, too. A pipe needs one that exists.

    Parameters
    ----------
    dataset
        The name.
    """
    service, flags = service or SendService(), flags or DatasetFlags()
    with service.client() as client:
        found = client.datasets.put(dataset, **flags.options())
    service.output.document(found, found.name)


@datasets.command
def show(dataset: str, /, *, service: Service | None = None) -> None:
    """Show a dataset with its newest snapshot, or with that of a reference such as `scores@7`."""
    service = service or Service()
    with service.client() as client:
        found = client.datasets.show(dataset)
    snapshot = found.snapshot or found.latest_snapshot
    facts = {
        "dataset": found.name,
        "description": found.description or None,
        "format": found.format,
        "key": found.key,
        "schema": found.schema,
        "created": found.created_at,
        "keeps": found.keep_snapshots and f"{found.keep_snapshots} snapshots",
        "keeps days": found.keep_days,
    }
    if snapshot is not None:
        facts |= {
            "snapshot": snapshot.number,
            "published": snapshot.created_at,
            "files": snapshot.files,
            "records": snapshot.records,
            "without key": snapshot.missing_keys or None,
            "bytes": snapshot.raw_bytes,
            "stored": snapshot.stored_bytes,
        }
    service.output.facts(found, facts)


@datasets.command
def files(dataset: str, /, *, service: Service | None = None) -> None:
    """List the files of the newest snapshot, or of that of a reference such as `scores@7`."""
    service = service or Service()
    with service.client() as client:
        found = client.datasets.files(_pinned(client, dataset))
        service.output.rows(
            ("path", "added in", "created", "records", "duplicates", "bytes", "stored"),
            (
                (
                    each,
                    (
                        each.path,
                        each.added_in,
                        each.created_at,
                        each.records,
                        each.duplicates,
                        each.raw_bytes,
                        each.stored_bytes,
                    ),
                )
                for each in found
            ),
        )


@datasets.command
def download(
    dataset: str,
    paths: tuple[str, ...] = (),
    /,
    *,
    to: Directory = Path(),
    service: Service | None = None,
) -> None:
    """Download files of a snapshot, byte for byte.

    Parameters
    ----------
    dataset
        A name such as `scores`, or a reference such as `scores@7`.
    paths
        The files; by default all.
    to
        The directory to write them to, with the paths that they have in the dataset.
    """
    service = service or Service()
    with service.client() as client, transferring("downloading") as show_progress:
        ref = _pinned(client, dataset)
        found = {each.path: each for each in client.datasets.files(ref)}
        missing = [each for each in paths if each not in found]
        if missing:
            raise UsageError(f"{ref} has no file {missing[0]!r}; see crivo datasets files")
        wanted = [found[each] for each in dict.fromkeys(paths or found)]
        total = sum(each.raw_bytes for each in wanted)
        done = 0
        for each in wanted:
            target = _below(to, each.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as file:
                for chunk in client.datasets.file_chunks(ref, each.path):
                    done += file.write(chunk)
                    show_progress(done, total)
    if not service.as_json:
        say(f"{len(wanted)} files of {ref}, {total} bytes")


@datasets.command
def delete(
    dataset: str,
    /,
    *,
    yes: Annotated[bool, Parameter(show_default=False)] = False,
    service: Service | None = None,
) -> None:
    """Delete a dataset with all its snapshots and files, for good.

    Parameters
    ----------
    dataset
        The name.
    yes
        Needed, so that nothing is deleted by a slip.
    """
    service = service or Service()
    with service.client() as client:
        if not yes:
            client.datasets.show(dataset)
            raise UsageError(f"nothing is deleted; with --yes {dataset} and all its snapshots are")
        client.datasets.delete(dataset)
    if not service.as_json:
        say(f"deleted {dataset}")


def _pinned(client: Crivo, dataset: str) -> str:
    """Return a reference that stays the same while others publish."""
    found = client.datasets.show(dataset)
    snapshot = found.snapshot or found.latest_snapshot
    return dataset if snapshot is None else f"{found.name}@{snapshot.number}"


def _below(folder: Path, path: str) -> Path:
    """Return where a file is written to. Raises UnexpectedResponse for a path that leads out."""
    parts = PurePosixPath(path).parts
    if (
        path.startswith("/")
        or ".." in parts
        or "\\" in path
        or ":" in path.split("/", maxsplit=1)[0]
    ):
        raise UnexpectedResponse(f"the service names a file {path!r}", status=200)
    return folder.joinpath(*parts)


def _number(text: str) -> Raw:
    if _NUMBER.fullmatch(text) is None:
        raise UsageError(f"--number: {text!r} is not a number of JSON")
    return Raw(text.encode())


def _cells(found: Dataset) -> tuple[object, ...]:
    latest = found.latest_snapshot
    of_latest = (
        (None,) * 5
        if latest is None
        else (latest.number, latest.created_at, latest.files, latest.records, latest.raw_bytes)
    )
    return (found.name, found.format, found.key, *of_latest)
