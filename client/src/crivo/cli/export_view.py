"""Wait for exports, download their files, and show what they have written."""

from pathlib import Path

from crivo.cli.arguments import Service
from crivo.cli.output import say, write_json
from crivo.cli.progress import transferring
from crivo.errors import CrivoError, NotFinished, Refused, Unreachable
from crivo.export_flows import require_success
from crivo.export_models import Export
from crivo.sync.client import Crivo


def wait_for_export(client: Crivo, export: str, *, timeout: float | None) -> Export:
    """Wait for the end of an export, and show its progress.

    Raises NotFinished, ExportFailed, ExportCancelled.
    """
    try:
        with transferring("exporting") as show:
            found = client.exports.wait(
                export,
                timeout=timeout,
                on_progress=lambda state: show(state.progress.bytes_done, state.progress.bytes),
            )
    except (KeyboardInterrupt, NotFinished, Refused, Unreachable):
        say(
            f"crivo: export {export} goes on; `crivo exports show {export}` shows its progress, "
            f"`crivo exports cancel {export}` ends it"
        )
        raise
    require_success(found)
    return found


def download_files(client: Crivo, export: str, folder: Path) -> None:
    """Put the files of an export into a folder, and show how much has arrived."""
    try:
        with transferring("downloading") as show:
            client.exports.download(export, folder, on_progress=show)
    except (KeyboardInterrupt, CrivoError, OSError):
        say(f"crivo: `crivo exports download {export} --to {folder}` goes on with the download")
        raise


def print_export(export: Export, service: Service) -> None:
    """Print the partitions of a finished export, and its counts to standard error."""
    if service.as_json:
        write_json(export)
        return
    service.output.rows(
        ("partition", "rows", "files", "bytes"),
        (
            (each, (each.path or "(all)", each.rows, each.files, each.bytes))
            for each in export.partitions or []
        ),
    )
    say(
        f"export {export.id} of {export.input}: {export.rows_in:,} rows in, "
        f"{export.duplicates:,} duplicates dropped, {export.rows_out or 0:,} rows out, "
        f"{export.files or 0:,} files, {export.bytes or 0:,} bytes"
    )
    if export.partitions is None:
        say(f"crivo: `crivo exports files {export.id}` lists the partitions, which are very many")
    if export.rows_failed:
        own = f"`crivo exports errors {export.id}`"
        if export.run is None:
            lists = f"{own} lists them"
        else:
            lists = f"{own} and, of the script, `crivo runs errors {export.run}` list them"
        say(f"crivo: {export.rows_failed:,} rows were not exported; {lists}")
