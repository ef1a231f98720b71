"""`crivo send`: send a directory of files to a dataset."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from crivo.cli.arguments import Directory, SendService, pointer_argument
from crivo.cli.exit_codes import UsageError
from crivo.cli.folder_watch import Target, show_failure, watch_folder
from crivo.cli.output import say
from crivo.cli.progress import transferring
from crivo.cli.send_hints import hint_at_array, is_of_other_format
from crivo.dataset_models import Sent, Totals
from crivo.errors import Conflict, CrivoError, NothingNew, NotPublished
from crivo.folders import find_files
from crivo.options import SendOptions
from crivo.sending import PARALLEL
from crivo.sync.client import Crivo


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SendFlags:
    """Which files are sent, and how."""

    pointer: Annotated[
        str | None,
        Parameter(name="--key", help="JSON pointer to the key of a record, such as `/pk`."),
    ] = None
    mode: Annotated[
        Literal["append", "replace"],
        Parameter(help="`append` keeps the dataset's other files, `replace` does not."),
    ] = "append"
    format: Annotated[
        Literal["jsonl", "text", "csv", "bytes"] | None,
        Parameter(help="That of a new dataset; by default jsonl."),
    ] = None
    schema: Annotated[
        str | None,
        Parameter(help="That of the records of a new dataset, such as `events@3`."),
    ] = None
    include: Annotated[
        tuple[str, ...],
        Parameter(help="Only files that match, such as `*.jsonl`; repeatable.", show_default=False),
    ] = ()
    parallel: Annotated[PositiveInt, Parameter(help="Parts on their way at once.")] = PARALLEL

    def options(self) -> SendOptions:
        """Return the options that were given."""
        chosen = SendOptions(mode=self.mode, include=self.include, parallel=self.parallel)
        if self.format is not None:
            chosen["format"] = self.format
        if self.schema is not None:
            chosen["schema"] = self.schema
        return chosen

    def command(self, source: Path, dataset: str, *, only_new: bool) -> str:
        """Write the command that was given, without the options of the service."""
        words = ["crivo", "send", str(source), dataset]
        for option, value in (
            ("--key", self.pointer),
            ("--format", self.format),
            ("--schema", self.schema),
            ("--mode", None if self.mode == "append" else self.mode),
            ("--parallel", None if self.parallel == PARALLEL else str(self.parallel)),
            *(("--include", each) for each in self.include),
        ):
            words += [] if value is None else [option, value]
        return shlex.join([*words, *(["--only-new"] if only_new else [])])


def send(
    source: Directory,
    dataset: str,
    /,
    *,
    flags: SendFlags | None = None,
    only_new: Annotated[bool, Parameter(show_default=False)] = False,
    watch: Annotated[bool, Parameter(show_default=False)] = False,
    settle: PositiveFloat = 5.0,
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
    only_new
        Leave out files that were sent with --only-new or --watch before, and have not changed
        since. If there are no others, nothing is published, and the command succeeds.
    watch
        Go on until interrupted: each round publishes new and changed files as a snapshot.
    settle
        Seconds for which a file must not have changed, with --watch.
    """
    service, flags = service or SendService(), flags or SendFlags()
    options, key = flags.options(), pointer_argument("--key", flags.pointer)
    if watch:
        if flags.mode != "append":
            raise UsageError("--watch: each snapshot adds files, so --mode is append")
        target = Target(source=source, dataset=dataset, key=key, options=options, service=service)
        watch_folder(target, settle=settle)
        return
    if only_new:
        if flags.mode != "append":
            raise UsageError("--only-new: adds files, so --mode is append")
        options["only_new"] = True
    command = flags.command(source, dataset, only_new=only_new)
    with (
        service.client() as client,
        _naming_empty(client, source, dataset, service),
        _naming_rest(command, service),
    ):
        try:
            with transferring("sending") as show:
                options["on_progress"] = show
                sent = client.datasets.send(source, dataset, key=key, **options)
        except NothingNew as nothing:
            if not service.as_json:
                say(f"crivo: {nothing}")
            return
        except NotPublished as error:
            if not service.as_json:
                show_failure(source, error)
                facts = _facts(error.totals, bad_lines=error.bad_line_count)
                service.output.facts(error.totals, facts)
            raise
    facts = {
        "dataset": f"{sent.dataset}@{sent.snapshot.number}",
        **_facts(sent, bad_lines=0),
        "left out": ", ".join(sent.left_out) or None,
    }
    service.output.facts(sent, facts)
    if not service.as_json:
        _name_odd_records(source, flags, sent)


@contextmanager
def _naming_empty(
    client: Crivo, source: Path, dataset: str, service: SendService
) -> Iterator[None]:
    """Say what is to be done about a dataset that has been created, and stays empty."""
    try:
        yield
    except (NotPublished, Conflict) as error:
        with suppress(CrivoError):
            if not service.as_json and client.datasets.show(dataset).latest_snapshot is None:
                delete = f"`crivo datasets delete {dataset} --yes`"
                say(
                    f"crivo: {dataset} exists and is empty; {delete} lets it be made anew, with "
                    "another format, key or schema"
                    if _may_be_otherwise(source, error)
                    else f"crivo: {dataset} exists and is empty: it takes the mended files, or "
                    f"{delete} deletes it"
                )
        raise


@contextmanager
def _naming_rest(command: str, service: SendService) -> Iterator[None]:
    """Name the command that goes on with what was interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if not service.as_json:
            say(f"crivo: `{command}` goes on where this has stopped")
        raise


def _may_be_otherwise(source: Path, error: NotPublished | Conflict) -> bool:
    """Whether the dataset may have the wrong format, key or schema, and not the files a fault."""
    if isinstance(error, Conflict):
        return True
    folder = source if source.is_dir() else source.parent
    return any(is_of_other_format(each, folder / each.path) for each in error.bad_lines[:1])


def _name_odd_records(source: Path, flags: SendFlags, sent: Sent) -> None:
    """Say that records have no key, or that each file is one record, and an array."""
    if sent.records == sent.files:
        path = find_files(source, include=flags.include).files[0].path
        if hint := hint_at_array(path):
            say(f"crivo: {path}: {hint}")
    if sent.missing_keys:
        say(f"crivo: {sent.missing_keys} of {sent.records} records have no key; none finds them")


def _facts(totals: Totals, *, bad_lines: int) -> dict[str, object]:
    return {
        "files": totals.files,
        "records": totals.records,
        "bytes": totals.raw_bytes,
        "bad lines": bad_lines,
        "without key": totals.missing_keys or None,
        "duplicates": f"{totals.duplicates} within parts; across parts and files none are counted"
        if totals.duplicates
        else None,
        "parts": f"{totals.parts}, sent now {totals.parts_sent}",
    }
