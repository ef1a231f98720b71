"""Wait for exports, download their files, and show what they have written."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from crivo.cli.arguments import Service
from crivo.cli.export_choices import choices_of
from crivo.cli.export_target import warn_of_others
from crivo.cli.export_warnings import reason_of_emptiness, warnings_of_columns
from crivo.cli.output import counted, say, write_json
from crivo.cli.progress import transferring
from crivo.errors import (
    CrivoError,
    Gone,
    InvalidRequest,
    NotFinished,
    NotFound,
    Refused,
    Unreachable,
)
from crivo.export_flows import require_success
from crivo.export_lock import LockedFolder
from crivo.export_models import Export, Manifest
from crivo.sync.client import Crivo

# Of more partitions, those at either end are printed.
_MAX_PARTITIONS: Final = 50
_AT_EITHER_END: Final = 10


def download_command(export: str, folder: Path, *, force: bool) -> str:
    """Return the command that waits for the files of an export, as this one does."""
    return f"crivo exports download {export} --to {folder}{' --force' if force else ''}"


def wait_for_export(
    client: Crivo, export: str, folder: Path | None, *, timeout: float | None, force: bool
) -> Export:
    """Wait for the end of an export, and show its progress; `folder` will get its files.

    Raises NotFinished, ExportFailed, ExportCancelled.
    """
    try:
        with transferring("exporting") as show:
            progress = _Progress(show)
            found = client.exports.wait(
                export,
                timeout=timeout,
                on_progress=progress.show,
            )
    except (NotFound, InvalidRequest):
        # There is none that goes on.
        raise
    except (KeyboardInterrupt, NotFinished, Refused, Unreachable):
        files = ""
        if folder is not None:
            files = f"`{download_command(export, folder, force=force)}` waits for its files, "
        say(
            f"crivo: export {export} goes on; {files}"
            f"`crivo exports show {export}` shows its progress, "
            f"`crivo exports cancel {export}` ends it. Another `crivo export` is another export, "
            "which comes after it at the same destination"
        )
        raise
    require_success(found)
    return found


def download_files(client: Crivo, export: str, folder: LockedFolder, *, force: bool) -> None:
    """Put the files of an export into a folder, and show how much has arrived."""
    try:
        with transferring("downloading") as show:
            manifest = client.exports.download(export, folder, on_progress=show)
    except (Gone, NotFound):
        # The files will not come back.
        raise
    except (KeyboardInterrupt, CrivoError, OSError):
        command = download_command(export, folder.path, force=force)
        say(f"crivo: `{command}` goes on with the download")
        raise
    warn_of_others(folder.path, manifest)


def print_export(client: Crivo, export: Export, service: Service) -> None:
    """Print the partitions of a finished export, and to standard error what it has done."""
    if service.as_json:
        write_json(export)
        return
    partitions = export.partitions or []
    if len(partitions) > _MAX_PARTITIONS:
        say(
            f"crivo: {len(partitions):,} partitions, of which these are the first and last "
            f"{_AT_EITHER_END}; --json has all"
        )
        partitions = [*partitions[:_AT_EITHER_END], *partitions[-_AT_EITHER_END:]]
    service.output.rows(
        ("partition", "rows", "files", "bytes"),
        ((each, (each.path or "(all)", each.rows, each.files, each.bytes)) for each in partitions),
    )
    if export.partitions is None:
        say(f"crivo: `crivo exports files {export.id}` lists the partitions, which are very many")
    if own := export.rows_failed - export.script_rows_failed:
        by = "" if export.script is None else ", by the records that the script returned"
        say(
            f"crivo: {counted(own, 'row')} could not be exported; "
            f"`crivo exports errors {export.id}` lists {'it' if own == 1 else 'them'}{by}"
        )
    say_script_failures(export)
    for warning in warnings_of_columns(export):
        say(f"crivo: {warning}")
    if (reason := reason_of_emptiness(export)) is not None:
        say(f"crivo: {reason}", style="red")
    if export.run is None and (missing := choices_of(export).missing_columns()):
        say(
            f"crivo: the files have no column of {' and '.join(missing)}, so --since cannot "
            f"continue this export; {_as_columns(missing)} lets it"
        )
    choices = "".join(f"; {name} {fact}" for name, fact in choices_of(export).facts().items())
    since = "" if export.since is None else f" since {export.since}"
    say(
        f"export {export.id} of {export.input}: {export.rows_in:,} rows in{since}, "
        f"{_dropped(export)}{export.duplicates:,} duplicates dropped, "
        f"{export.rows_out or 0:,} rows out"
        f"{_kept(client, export)}, "
        f"{export.files or 0:,} files, {export.bytes or 0:,} bytes{choices}"
    )


def say_script_failures(export: Export) -> None:
    """Name the list of records that the script of an export has failed at, if there are some."""
    if export.script_rows_failed:
        say(
            f"crivo: the script failed at {counted(export.script_rows_failed, 'record')}; "
            f"`crivo runs errors {export.run}` lists "
            f"{'it, by its line' if export.script_rows_failed == 1 else 'them, by lines'} of the "
            "dataset"
        )


def _dropped(export: Export) -> str:
    return "" if export.script is None else f"{export.rows_dropped:,} dropped by the script, "


class _Progress:
    """Shows how far an export has come, and each trouble once."""

    def __init__(self, show: Callable[[int, int], None]) -> None:
        self._show = show
        self._trouble: str | None = None

    def show(self, export: Export) -> None:
        if export.trouble is not None and export.trouble != self._trouble:
            say(f"crivo: {export.trouble}; the export is tried again")
        self._trouble = export.trouble
        self._show(export.progress.bytes_done, export.progress.bytes)


def _as_columns(pointers: Sequence[str]) -> str:
    return " ".join(f"--column {each.rpartition('/')[2]}={each}" for each in pointers)


def _kept(client: Crivo, export: Export) -> str:
    """Say how much of an export that continues another was written, and how much was kept."""
    if export.since is None:
        return ""
    manifest: Manifest = client.exports.manifest(export.id)
    # Files are named for the export that wrote them.
    own = f"{str(export.id).rpartition('-')[2]}-"
    written = [each for each in manifest.files if each.path.rpartition("/")[2].startswith(own)]
    folders = {each.path.rpartition("/")[0] for each in written}
    rows = sum(each.rows for each in written)
    return (
        f" in all (of them {rows:,} in {len(written):,} new files of the {len(folders):,} "
        f"partitions that have changed, {manifest.rows_out - rows:,} kept)"
    )
