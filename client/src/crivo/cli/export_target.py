"""Check the local directory of an export, before and after its files arrive."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import DecodeError, Raw, Struct, ValidationError, json

from crivo.cli.exit_codes import UsageError
from crivo.cli.export_choices import Choices, choices_of
from crivo.cli.output import say
from crivo.errors import NotFound
from crivo.export_folder import manifests_in
from crivo.export_lock import OWN, LockedFolder
from crivo.export_models import Manifest
from crivo.run_models import SnapshotRef
from crivo.sync.client import Crivo


class _Published(Struct, frozen=True, kw_only=True):
    export: str
    input: SnapshotRef
    files: list[Raw]


@contextmanager
def reserved(folder: Path) -> Iterator[LockedFolder]:
    """Keep other exports out of a directory that can take the files.

    Raises UsageError, ExportInProgress, OSError.
    """
    _require_writable(folder)
    with LockedFolder(folder) as locked:
        if (folder / OWN).stat().st_dev != folder.stat().st_dev:
            raise UsageError(f"--to: {folder / OWN} is on another disk, so nothing can be moved")
        yield locked


def require_replaceable(
    client: Crivo,
    folder: Path,
    *,
    dataset: str,
    snapshot: int | None,
    choices: Choices,
    export: str | None = None,
) -> None:
    """Raise UsageError if a directory has what an export would replace by something else.

    That is another dataset, a later snapshot, or an export with other choices.
    """
    for path in manifests_in(folder):
        try:
            found = json.decode(path.read_bytes(), type=_Published)
        except (DecodeError, ValidationError, OSError):
            # The download names it.
            continue
        if found.export == export:
            continue
        reason = None
        if found.input.dataset != dataset:
            reason = f"not of {dataset}"
        elif snapshot is not None and found.input.snapshot > snapshot:
            reason = f"which is newer than {dataset}@{snapshot}"
        elif differences := choices.differences(_choices(client, found.export) or choices):
            reason = f"with {'; '.join(differences)}"
        if reason is not None:
            raise UsageError(
                f"--to: {folder} has an export of {found.input} ({len(found.files):,} files), "
                f"{reason}; --force replaces it"
            )


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


def _choices(client: Crivo, export: str) -> Choices | None:
    """Return the choices of an export; None: the service does not know it any more."""
    try:
        return choices_of(client.exports.show(export))
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
