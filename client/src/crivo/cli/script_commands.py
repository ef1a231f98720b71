"""`crivo scripts …`: push, list, compare, promote and archive scripts."""

from pathlib import Path
from typing import Annotated, Literal, cast

from cyclopts import App, Parameter
from msgspec import to_builtins

from crivo.cli.arguments import LimitFlags, SchemaFlags, Service, split_reference, two_versions
from crivo.cli.diagnostics import show_findings
from crivo.cli.output import say, write_bytes, write_line
from crivo.errors import ScriptRejected
from crivo.options import PushOptions

scripts = App(name="scripts", help="Push, list, compare, promote and archive scripts.", sort_key=2)


@scripts.command
def push(
    file: Path,
    /,
    *,
    name: str | None = None,
    promote: str | None = None,
    note: Annotated[str | None, Parameter(help="A few words about the version.")] = None,
    io: Literal["json", "bytes"] | None = None,
    schemas: SchemaFlags | None = None,
    limits: LimitFlags | None = None,
    service: Service | None = None,
) -> None:
    """Upload a script: a new one, or a new version if it differs from the newest.

    Parameters
    ----------
    file
        JavaScript that defines `process(data)`, or for runs `map(record)` or a fold.
    name
        Name of the script; by default that of the file, without its extension.
    promote
        Alias to point at the version, such as `prod`.
    io
        `bytes`: `process` gets and returns bytes, such as an image; by default JSON.
    """
    service = service or Service()
    source = file.read_bytes()
    options = cast(
        PushOptions,
        {**(limits or LimitFlags()).options(), **(schemas or SchemaFlags()).options()},
    )
    if note is not None:
        options["note"] = note
    if io is not None:
        options["io"] = io
    with service.client() as client:
        try:
            pushed = client.scripts.push(name or file.stem, source, **options)
        except ScriptRejected as rejected:
            if not service.as_json:
                show_findings(str(file), rejected.findings, severity="error")
            raise
        if not service.as_json:
            show_findings(str(file), pushed.warnings, severity="warning")
        if promote is not None:
            client.scripts.promote(pushed.script.name, promote, pushed.version)
    state = "new" if pushed.is_new else "unchanged"
    alias = "" if promote is None else f", now {promote}"
    document = {**to_builtins(pushed.script), "is_new": pushed.is_new}
    service.output.document(document, f"{pushed.reference}  {state}{alias}")


@scripts.command(name="list")
def list_scripts(
    *,
    name: str | None = None,
    archived: Annotated[bool, Parameter(show_default=False)] = False,
    service: Service | None = None,
) -> None:
    """List scripts with their newest versions.

    Parameters
    ----------
    name
        Only the script of this name.
    archived
        Archived ones, too.
    """
    service = service or Service()
    with service.client() as client:
        service.output.rows(
            ("name", "latest", "updated", "description"),
            (
                (each, (each.name, each.latest_version.version, each.updated_at, each.description))
                for each in client.scripts.list(name=name, archived=archived)
            ),
        )


@scripts.command
def show(script: str, /, *, service: Service | None = None) -> None:
    """Show a script's versions, newest first, each with its aliases.

    Parameters
    ----------
    script
        Name or id.
    """
    service = service or Service()
    with service.client() as client:
        if service.as_json:
            service.output.document(client.scripts.show(script), "")
            return
        aliases: dict[int, list[str]] = {}
        for alias in client.scripts.aliases(script):
            aliases.setdefault(alias.version, []).append(alias.alias)
        service.output.rows(
            ("version", "aliases", "created", "bytes", "note"),
            (
                (
                    each,
                    (
                        each.version,
                        " ".join(aliases.get(each.version, ())),
                        each.created_at,
                        each.size_bytes,
                        each.note,
                    ),
                )
                for each in client.scripts.versions(script)
            ),
        )


@scripts.command
def source(script: str, /, *, service: Service | None = None) -> None:
    """Print the source of a version, byte for byte.

    Parameters
    ----------
    script
        A reference such as `cards`, `cards@3` or `cards@prod`.
    """
    service = service or Service()
    name, selector = split_reference(script)
    with service.client() as client:
        content = client.scripts.source(name, selector)
    if service.as_json:
        service.output.document({"script": script, "source": content.decode()}, "")
    else:
        write_bytes(iter([content]))


@scripts.command
def diff(old: str, new: str | None = None, /, *, service: Service | None = None) -> None:
    """Compare the sources of two versions.

    Parameters
    ----------
    old
        A reference such as `cards@1` or `cards@prod`.
    new
        Another one of the same script; by default its newest version.
    """
    service = service or Service()
    name, before, after = two_versions(old, new)
    with service.client() as client:
        text = client.scripts.diff(name, before, after)
    if service.as_json:
        service.output.document({"diff": text}, "")
    elif text:
        write_line(text.rstrip("\n"))
    else:
        say(f"crivo: {name}@{before} and {name}@{after} are the same")


@scripts.command
def promote(
    script: str,
    alias: str = "prod",
    /,
    *,
    comparison: str | None = None,
    accept_differences: Annotated[bool, Parameter(show_default=False)] = False,
    service: Service | None = None,
) -> None:
    """Point an alias at a version.

    Parameters
    ----------
    script
        A reference such as `cards` (its newest version), `cards@3` or `cards@test`.
    alias
        The alias to move.
    comparison
        Only if this comparison of both versions is clean; `crivo compare` makes one.
    accept_differences
        Also if it is not.
    """
    service = service or Service()
    name, selector = split_reference(script)
    with service.client() as client:
        moved = client.scripts.promote(
            name, alias, selector, comparison=comparison, accept_differences=accept_differences
        )
    service.output.document(moved, f"{name}@{moved.alias} is version {moved.version}")


@scripts.command
def rollback(script: str, alias: str = "prod", /, *, service: Service | None = None) -> None:
    """Point an alias at the version before its own.

    Parameters
    ----------
    script
        Name or id.
    alias
        The alias to move.
    """
    service = service or Service()
    with service.client() as client:
        moved = client.scripts.rollback(script, alias)
    service.output.document(moved, f"{script}@{moved.alias} is version {moved.version}")


@scripts.command
def archive(script: str, /, *, service: Service | None = None) -> None:
    """Archive a script: it runs no more, and nothing of it is lost.

    Parameters
    ----------
    script
        Name or id.
    """
    service = service or Service()
    with service.client() as client:
        changed = client.scripts.archive(script)
    service.output.document(changed, f"{changed.name} is archived")


@scripts.command
def restore(script: str, /, *, service: Service | None = None) -> None:
    """Take a script out of the archive.

    Parameters
    ----------
    script
        Name or id.
    """
    service = service or Service()
    with service.client() as client:
        changed = client.scripts.restore(script)
    service.output.document(changed, f"{changed.name} is restored")
