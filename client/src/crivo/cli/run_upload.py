"""Send the file of `crivo run --file` to a dataset of its own."""

import re
from pathlib import Path
from typing import Final

from crivo.cli.arguments import Service
from crivo.cli.exit_codes import UsageError
from crivo.cli.folder_watch import show_failure
from crivo.cli.progress import transferring
from crivo.cli.run_flags import RunFlags
from crivo.errors import NotFound, NotPublished
from crivo.sync.client import Crivo

# The format of a new dataset, by the end of the file's name, or else by --format.
_BY_SUFFIX: Final = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".log": "text",
    ".csv": "csv",
    ".tsv": "csv",
}
_BY_RUN_FORMAT: Final = {"records": "jsonl", "lines": "text", "text": "text", "bytes": "bytes"}
_MAX_NAME: Final = 63


def send_file(client: Crivo, file: Path, flags: RunFlags, service: Service) -> str:
    """Send a file as the only one of a dataset; return the reference of its snapshot."""
    if file.is_dir():
        raise UsageError(f"{file}: is a folder; `crivo send` sends it, --dataset runs over it")
    name = _name_of(file) if flags.dataset is None else flags.dataset
    if "@" in name:
        raise UsageError(f"--dataset: {name} names a snapshot, which no --file changes")
    try:
        found = client.datasets.show(name)
    except NotFound:
        stored = _format_of(file, flags)
    else:
        stored = found.format
        if found.latest_snapshot is not None:
            _refuse_other_files(client, name, file)
    try:
        with transferring("sending") as show:
            sent = client.datasets.send(file, name, format=stored, on_progress=show)
    except NotPublished as error:
        if not service.as_json:
            show_failure(file, error)
        raise
    return f"{sent.dataset}@{sent.snapshot.number}"


def _refuse_other_files(client: Crivo, name: str, file: Path) -> None:
    """Make sure that the run is over the file alone. Raises UsageError."""
    other = next((each for each in client.datasets.files(name) if each.path != file.name), None)
    if other is not None:
        raise UsageError(
            f"--file: the dataset {name} has other files, such as {other.path}; name a new "
            "--dataset, or send with `crivo send` and run over all of them with --dataset"
        )


def _name_of(file: Path) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).lstrip("._-")[:_MAX_NAME]
    if not name:
        raise UsageError(f"--file: {file.name} gives a dataset no name; add --dataset")
    return name


def _format_of(file: Path, flags: RunFlags) -> str:
    wanted = "records" if flags.each is not None else flags.format
    by_option = None if wanted is None else _BY_RUN_FORMAT[wanted]
    by_suffix = _BY_SUFFIX.get(file.suffix.lower())
    # Lines of text stay CSV, and bytes of lines stay lines, which other runs can read as such.
    chosen = by_option if by_option == "jsonl" else by_suffix or by_option
    if chosen is None:
        raise UsageError(
            f"--file: {file.name} does not say what it holds; add --format records, lines, text "
            "or bytes"
        )
    return chosen
