"""Check the local directory of an export, before and after its files arrive."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from uuid import UUID

from msgspec import DecodeError, Raw, Struct, ValidationError, json
from msgspec.structs import replace

from crivo.cli.exit_codes import UsageError
from crivo.cli.export_choices import Choices, choices_of, run_choices_of
from crivo.cli.output import say
from crivo.dataset_models import Dataset
from crivo.errors import NotFound
from crivo.export_folder import manifests_in
from crivo.export_lock import OWN, LockedFolder
from crivo.export_models import Export, Manifest
from crivo.run_models import SnapshotRef
from crivo.sync.client import Crivo


class _Published(Struct, frozen=True, kw_only=True):
    export: UUID
    input: SnapshotRef
    files: list[Raw]


@contextmanager
def reserved(folder: Path, *, force: bool) -> Iterator[LockedFolder]:
    """Keep other exports out of a directory that can take the files.

    Raises UsageError, ExportInProgress, OSError.
    """
    _require_writable(folder)
    if not force:
        _require_apart(folder)
    with LockedFolder(folder) as locked:
        if (folder / OWN).stat().st_dev != folder.stat().st_dev:
            raise UsageError(f"--to: {folder / OWN} is on another disk, so nothing can be moved")
        yield locked


def require_replaceable(
    client: Crivo,
    folder: Path,
    *,
    dataset: str,
    dataset_id: UUID | None,
    snapshot: int | None,
    choices: Choices,
    export: UUID | None = None,
) -> None:
    """Raise UsageError if a directory has what an export would replace by something else.

    That is another dataset, a later snapshot, or an export with other choices. Scripts are compared
    by versions: a reference may have come to name another one. A `dataset_id` of None: there is no
    dataset of that name any more.
    """
    others = [each for each in _published_in(folder) if each.export != export]
    if others:
        choices = _resolved(client, choices)
    for found in others:
        reason = None
        if found.input.dataset != dataset:
            reason = f"not of {dataset}"
        elif _is_recreated(dataset_id, after=found.export, before=export):
            reason = f"from before {dataset} was deleted and created again"
        elif snapshot is not None and found.input.snapshot > snapshot:
            reason = f"which is newer than {dataset}@{snapshot}"
        elif differences := choices.differences(_choices(client, found.export) or choices):
            reason = f"with {'; '.join(differences)}"
        if reason is not None:
            raise UsageError(
                f"--to: {folder} has an export of {found.input} ({len(found.files):,} files), "
                f"{reason}; --force replaces it"
            )


def require_replaceable_by(client: Crivo, folder: Path, export: Export) -> None:
    """Raise UsageError if an export that has run would replace something else in a directory."""
    require_replaceable(
        client,
        folder,
        dataset=export.input.dataset,
        dataset_id=_dataset_id(client, export.input.dataset),
        snapshot=export.input.snapshot,
        choices=run_choices_of(export),
        export=export.id,
    )


def last_snapshot(client: Crivo, folder: Path | str, dataset: Dataset) -> int | None:
    """Return the snapshot of a dataset whose export is at a place; None: there is none.

    The place is a directory, or the URL of a destination.
    """
    if isinstance(folder, Path):
        found = [
            (each.export, each.input.snapshot)
            for each in _published_in(folder)
            if each.input.dataset == dataset.name
        ]
    else:
        exports = client.exports.list(dataset=dataset.name, status="succeeded", page_size=20)
        at = folder.rstrip("/")
        # The newest first; a destination has one.
        found = [
            (each.id, each.input.snapshot)
            for each in islice(
                (e for e in exports if (choices_of(e).to or "").rstrip("/") == at), 1
            )
        ]
    of_this = [each for each in found if not _is_recreated(dataset.id, after=each[0])]
    return max(of_this)[1] if of_this else None


def _published_in(folder: Path) -> Iterator[_Published]:
    for path in manifests_in(folder):
        # The download names one that cannot be read.
        with suppress(DecodeError, ValidationError, OSError):
            yield json.decode(path.read_bytes(), type=_Published)


def _is_recreated(dataset: UUID | None, *, after: UUID, before: UUID | None = None) -> bool:
    """Return whether the dataset of a name was created after an export of that name.

    Ids begin with the time. Of an export that is itself from before, the dataset says nothing.
    """
    return dataset is not None and after < dataset and (before is None or dataset < before)


def _require_writable(folder: Path) -> None:
    if folder.exists():
        if not folder.is_dir():
            raise UsageError(f"--to: {folder} is not a directory")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"--to: {folder} cannot be written to")
    elif not folder.absolute().parent.is_dir():
        # Only the last part is created: a disk may not be mounted, or the name wrong.
        raise UsageError(
            f"--to: there is no directory {folder.parent}; create it, or mount its disk"
        )


def _require_apart(folder: Path) -> None:
    """Refuse a directory whose files readers of another export's would read, too, or the reverse.

    Raises UsageError.
    """
    place = folder.resolve()
    above = [each for each in place.parents if manifests_in(each)]
    inner = sorted(each for depth in ("*", "*/*") for each in place.glob(f"{depth}/{OWN}"))
    below = [each.parent for each in inner if manifests_in(each.parent)]
    if not above and not below:
        return
    found = (
        f"is in {above[0]}, which has an export of its own"
        if above
        else f"has an export in {below[0]}"
    )
    raise UsageError(
        f"--to: {folder} {found}; readers of the outer directory read both; --force allows it"
    )


def _choices(client: Crivo, export: UUID) -> Choices | None:
    """Return the choices of an export; None: the service does not know it any more."""
    try:
        return run_choices_of(client.exports.show(export))
    except NotFound:
        return None


def _resolved(client: Crivo, choices: Choices) -> Choices:
    """Name the version that the reference to a script stands for now."""
    if not choices.script:
        return choices
    script = client.scripts.show(choices.script)
    version = script.version or script.latest_version
    return replace(choices, script=f"{script.name}@{version.version}")


def _dataset_id(client: Crivo, name: str) -> UUID | None:
    """Return the id of a dataset; None: there is none of that name any more."""
    try:
        return client.datasets.show(name).id
    except NotFound:
        return None


def warn_of_others(folder: Path, manifest: Manifest) -> None:
    """Name Parquet files in the directory that no export has put there."""
    own = {folder / each.path for each in manifest.files}
    others = sorted(each for each in folder.rglob("*.parquet") if each not in own)
    if others:
        say(
            f"crivo: {folder} also has Parquet files that are not of the export ({len(others):,}), "
            f"such as {others[0]}; readers of the directory may take them for its rows"
        )
