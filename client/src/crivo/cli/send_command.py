"""`crivo send`: send a directory of files to a dataset."""

from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from crivo.cli.arguments import SendService
from crivo.cli.output import say
from crivo.cli.progress import transferring
from crivo.dataset_models import Totals
from crivo.errors import NotPublished
from crivo.options import SendOptions
from crivo.sending import PARALLEL

_MAX_SHOWN: Final = 20


def send(
    source: Path,
    dataset: str,
    /,
    *,
    pointer: Annotated[str | None, Parameter(name="--key")] = None,
    mode: Literal["append", "replace"] = "append",
    format: Literal["jsonl", "text", "csv", "bytes"] | None = None,  # noqa: A002 - the API's word
    include: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    parallel: int = PARALLEL,
    service: SendService | None = None,
) -> None:
    """Send a directory to a dataset, and publish its files as one snapshot.

    A command that was killed goes on where it stopped when it is started again.

    With a bad line, or a file that changes meanwhile, nothing is published.

    Hidden files and links to directories are left out.

    Parameters
    ----------
    source
        A directory, or one file.
    dataset
        The name of the dataset; it is created if there is none.
    pointer
        JSON pointer to the key of a record, such as `/pk`.
    mode
        `append` keeps the dataset's other files, `replace` does not.
    format
        That of a new dataset; by default jsonl.
    include
        Only files that match, such as `*.jsonl`; repeatable.
    parallel
        Parts on their way at once.
    """
    service = service or SendService()
    options = SendOptions(mode=mode, include=include, parallel=parallel)
    if format is not None:
        options["format"] = format
    try:
        with service.client() as client, transferring("sending") as show:
            options["on_progress"] = show
            sent = client.datasets.send(source, dataset, key=pointer, **options)
    except NotPublished as error:
        if not service.as_json:
            show_failure(source, error)
            service.output.facts(error, _facts(error.totals, bad_lines=len(error.bad_lines)))
        raise
    facts = {
        "dataset": f"{sent.dataset}@{sent.snapshot.number}",
        **_facts(sent, bad_lines=0),
        "left out": ", ".join(sent.left_out) or None,
    }
    service.output.facts(sent, facts)


def show_failure(source: Path, error: NotPublished) -> None:
    """Show where bad lines are, and which files have changed."""
    folder = source if source.is_dir() else source.parent
    for each in error.bad_lines[:_MAX_SHOWN]:
        place = f"{folder / each.path}:{each.line}"
        say(f"{place}: error: {each.message} (byte {each.byte})", style="bold red")
    for path in error.changed:
        say(f"{folder / path}: error: changed while it was sent", style="bold red")


def _facts(totals: Totals, *, bad_lines: int) -> dict[str, object]:
    return {
        "files": totals.files,
        "records": totals.records,
        "bytes": totals.raw_bytes,
        "bad lines": bad_lines,
        "without key": totals.missing_keys or None,
        "duplicates": totals.duplicates or None,
        "parts": f"{totals.parts}, sent now {totals.parts_sent}",
    }
