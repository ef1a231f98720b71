"""Check the local directory of an export, before and after its files arrive."""

from pathlib import Path
from typing import Final

from msgspec import DecodeError, Struct, ValidationError, json

from crivo.cli.exit_codes import UsageError
from crivo.cli.output import say
from crivo.export_models import Manifest
from crivo.run_models import SnapshotRef

_OWN: Final = "_crivo"


class _Published(Struct, frozen=True, kw_only=True):
    export: str
    input: SnapshotRef


def require_directory(folder: Path) -> None:
    """Raise UsageError for what is no directory."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--to: {folder} is not a directory")


def require_not_newer(folder: Path, *, dataset: str, snapshot: int) -> None:
    """Raise UsageError if a directory has an export of a later snapshot of the dataset."""
    for path in folder.joinpath(_OWN).glob("*.json"):
        try:
            found = json.decode(path.read_bytes(), type=_Published)
        except (DecodeError, ValidationError, OSError):
            # The download names it.
            continue
        if found.input.dataset == dataset and found.input.snapshot > snapshot:
            raise UsageError(
                f"--to: {folder} has an export of {found.input}, which is newer than "
                f"{dataset}@{snapshot}; --force replaces it"
            )


def warn_of_others(folder: Path, manifest: Manifest) -> None:
    """Name Parquet files in the directory that no export has put there."""
    own = {folder / each.path for each in manifest.files}
    others = sorted(each for each in folder.rglob("*.parquet") if each not in own)
    if others:
        say(
            f"crivo: {folder} also has Parquet files that are not of the export ({len(others):,}), "
            f"such as {others[0]}; readers of the directory may take them for its rows"
        )
