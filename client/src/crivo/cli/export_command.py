"""`crivo export`: write a dataset as Parquet files, into a local directory or elsewhere."""

from contextlib import nullcontext
from itertools import islice
from typing import Annotated

from cyclopts import Parameter

from crivo.cli.arguments import Service, Timeout, directory_argument
from crivo.cli.export_choices import wanted_choices
from crivo.cli.export_errors import advising, naming_options
from crivo.cli.export_fields import Fields
from crivo.cli.export_flags import ExportFlags
from crivo.cli.export_target import (
    last_snapshot,
    require_replaceable,
    require_replaceable_by,
    reserved,
)
from crivo.cli.export_view import download_command, download_files, print_export, wait_for_export
from crivo.cli.output import say
from crivo.sync.client import Crivo


def export(
    dataset: str,
    /,
    *,
    to: str,
    flags: ExportFlags | None = None,
    wait: Annotated[bool, Parameter(negative="--detach")] = True,
    force: bool = False,
    timeout: Timeout = None,
    service: Service | None = None,
) -> None:
    """Export a dataset as Parquet files: of each key the latest record, in folders by partition.

    Of records with equal times, the later in file order is kept.

    Names of members are those of the first record, such as `domain`, or the ends of such names,
    as `type` of `event_type`, where they can only mean one, or pointers, such as `/data/id`.

    Parameters
    ----------
    dataset
        A name such as `events`, or a reference such as `events@4`.
    to
        A directory, which gets the files, and `_SUCCESS` last, or a destination that the service
        allows, such as s3://bucket/events. What an earlier export put there is replaced.
    wait
        With --detach, print the export's id, and do not wait for it.
    force
        Also replace an export of another dataset, of a later snapshot or with other choices, such
        as another version of the script; and write within the directory of another export.
    """
    service, flags = service or Service(), flags or ExportFlags()
    folder = None if "://" in to else directory_argument("--to", to)
    reservation = nullcontext() if folder is None else reserved(folder, force=force)
    with service.client() as client, naming_options(), reservation as locked:
        source = client.datasets.show(dataset)
        fields = _fields(client, dataset, flags)
        options = flags.options(fields, to=to if folder is None else None)
        for reason in fields.lacking.values():
            say(f"crivo: {reason}")
        if folder is None and force:
            options["replace"] = True
        if flags.since == "last":
            last = last_snapshot(client, folder or to, source)
            if last is None:
                say(
                    f"crivo: --since last: {to} has no export of {source.name} yet; all is exported"
                )
            else:
                options["since"] = last
        if folder is not None and not force:
            snapshot = source.snapshot or source.latest_snapshot
            require_replaceable(
                client,
                folder,
                dataset=source.name,
                dataset_id=source.id,
                snapshot=None if snapshot is None else snapshot.number,
                choices=wanted_choices(options),
            )
        queued = client.exports.create(dataset, **options)
        name = str(queued.id)
        if not wait:
            service.output.document(queued, name)
            if folder is not None and not service.as_json:
                command = download_command(name, folder, force=force)
                say(f"crivo: `{command}` gets the files")
            return
        with advising(mistyped=fields.lacking):
            found = wait_for_export(client, name, folder, timeout=timeout, force=force)
        if folder is not None and flags.script is not None and not force:
            # An alias may have been moved since it was looked up.
            require_replaceable_by(client, folder, found)
        if locked is not None:
            download_files(client, name, locked, force=force)
        print_export(client, found, service)


def _fields(client: Crivo, dataset: str, flags: ExportFlags) -> Fields:
    """Return the members of the first record, and say so if it looks like many."""
    # What a script returns cannot be seen before.
    record = None if flags.script else _first_record(client, dataset)
    if record is not None and record.lstrip().startswith(b"["):
        say(
            "crivo: the first record is an array; `jq -c '.[]' FILE` writes a record a line, "
            "to be sent again"
        )
    return Fields(record)


def _first_record(client: Crivo, dataset: str) -> bytes | None:
    return next(islice(client.datasets.lines(dataset, page_size=1), 1), None)
