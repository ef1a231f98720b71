"""`crivo schemas …`: push, check, compare, list, promote and archive schemas."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import App, Parameter
from msgspec import to_builtins

from crivo.cli.arguments import Service, split_reference
from crivo.cli.exit_codes import DataInvalid, OutcomeDiffers, UsageError
from crivo.cli.output import say, write_json, write_line
from crivo.errors import Conflict, Refused, SchemaRejected
from crivo.options import PushSchemaOptions
from crivo.schema_models import CheckedSchema, PushedSchema, SchemaVerdict, Validated
from crivo.sync.client import Crivo

schemas = App(name="schemas", help="Push, check, compare, promote and archive schemas.", sort_key=2)

Compatibility = Literal["none", "backward", "forward", "full"]
_LINES: Final = frozenset({".ndjson", ".jsonl"})


@schemas.command
def push(
    files: Annotated[list[Path], Parameter(name="FILE", negative=())],
    /,
    *,
    name: str | None = None,
    promote: str | None = None,
    note: Annotated[str | None, Parameter(help="A few words about the versions.")] = None,
    compatibility: Compatibility | None = None,
    strict: Annotated[bool, Parameter(negative="--not-strict")] = True,
    service: Service | None = None,
) -> None:
    """Upload schemas: new ones, or new versions where they differ from the newest.

    Parameters
    ----------
    files
        JSON Schemas; each is named as its file, without extension. One that others refer to goes
        first.
    name
        Name of the schema, if there is one file.
    promote
        Alias to point at the versions, such as `prod`.
    compatibility
        What these and later versions must be to those before.
    strict
        Refuse fields that the schema does not register.
    """
    service = service or Service()
    if name is not None and len(files) != 1:
        raise UsageError("--name is for one file")
    options: PushSchemaOptions = {"strict": strict}
    if note is not None:
        options["note"] = note
    if compatibility is not None:
        options["compatibility"] = compatibility
    with service.client() as client:
        for file in files:
            pushed = _push(client, service, file, name or _name_of(file), options)
            if promote is not None:
                client.schemas.promote(pushed.schema.name, promote, pushed.version.version)
            state = "new" if pushed.is_new else "unchanged"
            alias = "" if promote is None else f", now {promote}"
            verdict = pushed.version.verdict if pushed.is_new else None
            compared = "" if verdict is None else f", {_summary(verdict)}"
            document = {**to_builtins(pushed.schema), "is_new": pushed.is_new}
            service.output.document(document, f"{pushed.reference}  {state}{alias}{compared}")


@schemas.command
def check(
    schema: str,
    files: Annotated[list[Path], Parameter(name="FILE", negative=())],
    /,
    *,
    lines: Annotated[bool, Parameter(show_default=False)] = False,
    service: Service | None = None,
) -> None:
    """Validate local documents; the exit code is 1 if one is not valid.

    Parameters
    ----------
    schema
        A reference such as `events`, `events@3` or `events@prod`.
    files
        JSON documents, or lines of JSON (`.jsonl`, `.ndjson`).
    lines
        Files of other names are lines of JSON, too.
    """
    service = service or Service()
    invalid = 0
    with service.client() as client:
        for file in files:
            for found in _invalid(client, schema, file, lines=lines):
                invalid += 1
                _show(service, file, found)
    if invalid:
        raise DataInvalid(f"{invalid} not valid by {schema}")
    if not service.as_json:
        say(f"crivo: all valid by {schema}")


@schemas.command
def diff(
    old: str,
    new: str | None = None,
    /,
    *,
    file: Path | None = None,
    service: Service | None = None,
) -> None:
    """Compare two versions, or a local file with a version: what stays valid, and why not.

    The exit code is 1 if the schema demands more compatibility than the other one has.

    Parameters
    ----------
    old
        A reference such as `events@1` or `events@prod`.
    new
        Another reference; by default the newest version.
    file
        A JSON Schema to compare instead, as strict as the version is.
    """
    service = service or Service()
    other = file if file is not None else new or old.partition("@")[0]
    with service.client() as client:
        try:
            found = client.schemas.diff(old, other)
        except SchemaRejected as rejected:
            _show_errors(service, str(other), rejected)
            raise
    _show_verdict(service, found)
    if not found.accepted:
        raise OutcomeDiffers(f"{old}: its schema demands more compatibility")


@schemas.command(name="list")
def list_schemas(
    *,
    name: str | None = None,
    archived: Annotated[bool, Parameter(show_default=False)] = False,
    service: Service | None = None,
) -> None:
    """List schemas with their newest versions.

    Parameters
    ----------
    name
        Only the schema of this name.
    archived
        Archived ones, too.
    """
    service = service or Service()
    with service.client() as client:
        service.output.rows(
            ("name", "latest", "updated", "compatibility", "description"),
            (
                (
                    each,
                    (
                        each.name,
                        each.latest_version.version,
                        each.updated_at,
                        each.compatibility,
                        each.description,
                    ),
                )
                for each in client.schemas.list(name=name, archived=archived)
            ),
        )


@schemas.command
def show(schema: str, /, *, service: Service | None = None) -> None:
    """Show a schema's versions, newest first, each with its aliases; or a version's document.

    Parameters
    ----------
    schema
        Name or id, or a reference such as `events@3`, whose document is printed.
    """
    service = service or Service()
    with service.client() as client:
        if "@" in schema and not service.as_json:
            write_line(client.schemas.document(schema).decode().rstrip("\n"))
            return
        if service.as_json:
            service.output.document(client.schemas.show(schema), "")
            return
        aliases: dict[int, list[str]] = {}
        for alias in client.schemas.aliases(schema):
            aliases.setdefault(alias.version, []).append(alias.alias)
        service.output.rows(
            ("version", "aliases", "created", "bytes", "strict", "compared", "note"),
            (
                (
                    each,
                    (
                        each.version,
                        " ".join(aliases.get(each.version, ())),
                        each.created_at,
                        each.size_bytes,
                        "strict" if each.strict else "",
                        "" if each.verdict is None else _summary(each.verdict),
                        each.note,
                    ),
                )
                for each in client.schemas.versions(schema)
            ),
        )


@schemas.command
def promote(schema: str, alias: str = "prod", /, *, service: Service | None = None) -> None:
    """Point an alias at a version.

    Parameters
    ----------
    schema
        A reference such as `events` (its newest version), `events@3` or `events@test`.
    alias
        The alias to move.
    """
    service = service or Service()
    name, selector = split_reference(schema)
    with service.client() as client:
        moved = client.schemas.promote(name, alias, selector)
    service.output.document(moved, f"{name}@{moved.alias} is version {moved.version}")


@schemas.command
def archive(schema: str, /, *, service: Service | None = None) -> None:
    """Archive a schema: nothing new can refer to it, and nothing of it is lost.

    Parameters
    ----------
    schema
        Name or id.
    """
    service = service or Service()
    with service.client() as client:
        changed = client.schemas.archive(schema)
    service.output.document(changed, f"{changed.name} is archived")


@schemas.command
def restore(schema: str, /, *, service: Service | None = None) -> None:
    """Take a schema out of the archive.

    Parameters
    ----------
    schema
        Name or id.
    """
    service = service or Service()
    with service.client() as client:
        changed = client.schemas.restore(schema)
    service.output.document(changed, f"{changed.name} is restored")


def _push(
    client: Crivo, service: Service, file: Path, name: str, options: PushSchemaOptions
) -> PushedSchema:
    try:
        return client.schemas.push(name, file, **options)
    except (SchemaRejected, Conflict) as refused:
        _show_errors(service, str(file), refused)
        raise
    except ValueError as error:
        raise DataInvalid(f"{file}: is not JSON: {error}") from None


def _name_of(file: Path) -> str:
    """Return the name of a file without extension, and without `.schema` before it."""
    return file.name.removesuffix(".json").removesuffix(".schema")


def _invalid(client: Crivo, schema: str, file: Path, *, lines: bool) -> Iterator[Validated]:
    if lines or file.suffix in _LINES:
        yield from client.schemas.validate_lines(schema, file, excerpts=True)
        return
    found = client.schemas.validate(schema, file, excerpts=True)
    if not found.valid:
        yield found


def _show(service: Service, file: Path, found: Validated) -> None:
    if service.as_json:
        write_json({"file": str(file), **to_builtins(found)})
        return
    place = str(file) if found.line is None else f"{file}:{found.line}"
    for error in found.errors:
        at = f"{error.pointer}: " if error.pointer else ""
        value = "" if error.value is None else f" ({error.value})"
        write_line(f"{place}: {at}{error.message}{value}")
    if found.errors_omitted:
        write_line(f"{place}: {found.errors_omitted} more")


def _show_errors(service: Service, place: str, refused: Refused) -> None:
    if service.as_json:
        return
    for error in refused.problem.errors or []:
        at = f"{error.pointer}: " if error.pointer else ""
        say(f"{place}: error: {at}{error.message}", style="bold red")


def _show_verdict(service: Service, found: CheckedSchema) -> None:
    verdict = found.verdict
    if service.as_json or verdict is None:
        service.output.document(found, "")
        return
    write_line(_summary(verdict))
    for reason in verdict.reasons:
        at = f"{reason.pointer}: " if reason.pointer else ""
        write_line(f"  {reason.direction}: {at}{reason.message}")


def _summary(verdict: SchemaVerdict) -> str:
    words = {True: "yes", False: "no", None: "undecided"}
    return f"backward {words[verdict.backward]}, forward {words[verdict.forward]}"
