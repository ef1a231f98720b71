"""`crivo exports …`: list, show, download and cancel exports, and print tables for them."""

from pathlib import Path
from typing import Literal

from cyclopts import App
from cyclopts.types import NonNegativeInt

from crivo.cli.arguments import (
    Directory,
    Limit,
    Service,
    Timeout,
    WithLabels,
    WithStatus,
    labels_argument,
)
from crivo.cli.exit_codes import UsageError
from crivo.cli.export_choices import choices_of
from crivo.cli.export_errors import advising, naming_options
from crivo.cli.export_target import require_replaceable_by, reserved
from crivo.cli.export_view import (
    download_files,
    print_export,
    say_script_failures,
    wait_for_export,
)
from crivo.cli.output import DEFAULT_LIMIT, page_size, write_json, write_line
from crivo.export_models import BadRowInfo, Export, ExportColumnInfo, place_of
from crivo.options import ExportFilter

exports = App(name="exports", help="List, show, download and cancel exports.", sort_key=12)


@exports.command(name="list")
def list_exports(
    *,
    dataset: str | None = None,
    status: WithStatus = None,
    label: WithLabels = (),
    limit: Limit = DEFAULT_LIMIT,
    service: Service | None = None,
) -> None:
    """List exports, newest first.

    Parameters
    ----------
    dataset
        Only those of a dataset.
    """
    service = service or Service()
    filters: ExportFilter = {
        "dataset": dataset,
        "status": status,
        "labels": labels_argument(label),
    }
    with service.client() as client:
        found = client.exports.list(page_size=page_size(limit), **filters)
        service.output.items(
            ("id", "input", "status", "created", "rows in", "duplicates", "rows out", "files"),
            found,
            _cells,
            limit=limit,
            drop=("duplicates", "files", "rows in", "created"),
        )


@exports.command
def show(export: str, /, *, service: Service | None = None) -> None:
    """Show an export: its state, how far it has come, and its receipt or error."""
    service = service or Service()
    with service.client() as client:
        found = client.exports.show(export)
    service.output.facts(found, _facts(found))


@exports.command
def cancel(export: str, /, *, service: Service | None = None) -> None:
    """Cancel a queued or running export; nothing of it is published."""
    service = service or Service()
    with service.client() as client:
        found = client.exports.cancel(export)
    service.output.document(found, f"{found.id}  {found.status}")


@exports.command
def files(export: str, /, *, limit: NonNegativeInt = 0, service: Service | None = None) -> None:
    """List the files of an export, by path.

    Parameters
    ----------
    export
        The id.
    limit
        How many; 0, the default, means all.
    """
    service = service or Service()
    with service.client() as client:
        found = client.exports.files(export, page_size=page_size(limit))
        service.output.items(
            ("path", "rows", "bytes", "sha256"),
            found,
            lambda each: (each.path, each.rows, each.bytes, each.sha256),
            limit=limit,
        )


@exports.command
def download(
    export: str,
    /,
    *,
    to: Directory,
    timeout: Timeout = None,
    force: bool = False,
    service: Service | None = None,
) -> None:
    """Wait for an export, and put its files into a directory, `_SUCCESS` last.

    What is there already is not downloaded again.

    Parameters
    ----------
    export
        The id.
    to
        The directory. What an earlier export put there is replaced.
    force
        Also replace an export of another dataset, of a later snapshot or with other choices.
    """
    service = service or Service()
    with service.client() as client, reserved(to, force=force) as locked:
        if destination := choices_of(client.exports.show(export)).to:
            raise UsageError(f"the files of the export go to {destination}, and are not kept here")
        with advising():
            found = wait_for_export(client, export, to, timeout=timeout, force=force)
        if not force:
            require_replaceable_by(client, to, found)
        download_files(client, export, locked, force=force)
        print_export(client, found, service)


@exports.command
def errors(export: str, /, *, limit: NonNegativeInt = 0, service: Service | None = None) -> None:
    """List the rows that were not exported, in the order of the input.

    Parameters
    ----------
    export
        The id.
    limit
        How many; 0, the default, means all.
    """
    service = service or Service()
    with service.client() as client:
        found = client.exports.errors(export, excerpt=True, page_size=page_size(limit))
        service.output.items(
            ("path", "line", "pointer", "kind", "error", "excerpt"),
            found,
            _error_cells,
            limit=limit,
        )
        if not service.as_json:
            say_script_failures(client.exports.show(export))


@exports.command
def ddl(
    export: str,
    /,
    *,
    dialect: Literal["athena", "hive", "duckdb"] = "athena",
    name: str | None = None,
    location: str | None = None,
    to: Path | None = None,
    service: Service | None = None,
) -> None:
    """Print the SQL that creates a table of an export's files, and adds its partitions.

    Parameters
    ----------
    export
        The id.
    dialect
        Whose SQL.
    name
        `table` or `database.table`; by default the dataset's name.
    location
        URL of the folder with the files; by default the destination.
    to
        File to write instead.
    """
    service = service or Service()
    with service.client() as client, naming_options():
        sql = client.exports.ddl(export, dialect, name=name, location=location)
    if to is not None:
        to.write_text(sql, encoding="utf-8")
    elif service.as_json:
        write_json({"export": export, "dialect": dialect, "sql": sql})
    else:
        write_line(sql.rstrip("\n"))


def _error_cells(row: BadRowInfo) -> tuple[object, ...]:
    error = row.error
    number = row.line if row.record is None else f"record {row.record}"
    return (row.path, number, error.pointer, error.kind, error.message, row.excerpt)


def _cells(export: Export) -> tuple[object, ...]:
    return (
        export.id,
        export.input,
        export.status,
        export.created_at,
        export.rows_in,
        export.duplicates,
        export.rows_out,
        export.files,
    )


def _facts(export: Export) -> dict[str, object]:
    progress, choices = export.progress, choices_of(export)
    facts: dict[str, object] = {
        "id": export.id,
        "input": export.input,
        "since": export.since,
        "script": _script(export),
        "run": export.run,
        "key": choices.facts().get("key"),
        "latest": choices.facts().get("latest"),
        "levels": choices.facts().get("levels"),
        "status": export.status,
        "created": export.created_at,
        "finished": export.finished_at,
        "labels": " ".join(f"{name}:{value}" for name, value in export.labels.items()) or None,
        "to": choices.to,
        "bad rows": choices.on_bad_row,
        "stage": progress.stage,
        "tasks": f"{progress.tasks_done} of {progress.tasks}",
        "trouble": _trouble(export),
        "bytes read": f"{progress.bytes_done} of {progress.bytes}",
        "rows in": export.rows_in,
        "duplicates": export.duplicates,
        "rows dropped": export.rows_dropped if export.script else None,
        "rows failed": export.rows_failed,
        "failed in script": export.script_rows_failed if export.script else None,
        "rows out": export.rows_out,
        "files": export.files,
        "bytes": export.bytes,
        "partitions": None if export.partitions is None else len(export.partitions),
        "run's errors": export.run_errors_url,
        "callback": export.callback_url,
    }
    for column in export.columns or []:
        facts[f"  {column.name}"] = _type(column)
    if export.receipt is not None:
        facts |= {
            "engine": export.receipt.engine,
            "cpu ms": export.receipt.cpu_ms,
            "memory": export.receipt.peak_memory_bytes,
            "attempts": f"{export.receipt.attempts} for {export.receipt.tasks} tasks",
        }
    if export.error is not None:
        facts["error"] = f"{export.error.kind}: {export.error.message}"
    return facts


def _script(export: Export) -> str | None:
    """Return the reference that was given, and the version that it stood for."""
    given, found = choices_of(export).script, export.script
    if given is None or found is None:
        return given
    resolved = f"{found.name}@{found.version}"
    return given if given == resolved else f"{given} ({resolved})"


def _trouble(export: Export) -> str | None:
    if export.trouble is None:
        return None
    return f"{export.trouble}, since {export.trouble_since:%Y-%m-%dT%H:%M:%SZ}"


def _type(column: ExportColumnInfo) -> str:
    how = f"json, {column.source}" if column.json else column.source
    mixed = column.mixed_at
    place = ""
    if mixed is not None:
        place = f", mixed since {place_of(mixed.path, mixed.line, mixed.record)}"
    return f"{column.type} ({how}{place})"
