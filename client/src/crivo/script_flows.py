"""Flows of scripts: one request each, or a few."""

import difflib
import json as standard_json
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from msgspec import Raw, json

from crivo.bodies import Body, encode
from crivo.errors import CrivoError
from crivo.models import Page
from crivo.options import CheckOptions, PushOptions, Ref, as_query
from crivo.retries import Flow
from crivo.script_models import Accepted, Alias, CreatedScript, Pushed, Script, Version
from crivo.session import Session
from crivo.wire import JSON, Request, segment

# A source: its text, its bytes, or the path of its file.
Source = str | bytes | Path

_JAVASCRIPT: Final = {"Content-Type": "text/javascript"}
_CREATED: Final = 201
_SCHEMAS: Final = ("input_schema", "output_schema")
_PAGE: Final = 200


def push(session: Session, name: str, source: Source, options: PushOptions) -> Flow[Pushed]:
    """Create a script, or add a version unless the newest one has this very source."""
    reply = yield from session.deliver(
        Request(
            method="PUT",
            path=f"/scripts/{segment(name)}",
            query=as_query(options),
            headers=_JAVASCRIPT,
            body=Body(source_bytes(source)),
        )
    )
    return Pushed(script=reply.decode(CreatedScript), is_new=reply.status == _CREATED)


def check(
    session: Session, source: Source, *, sample: bytes | None, options: CheckOptions
) -> Flow[Accepted]:
    """Check a source, and run it on a sample. Raises ValueError for a sample that is no JSON."""
    schemas: dict[str, object] = {name: options[name] for name in _SCHEMAS if name in options}
    others = {"params", "seed", *_SCHEMAS}
    limits = {name: value for name, value in options.items() if name not in others}
    if sample is None:
        # As it is: the service names the place of what is not UTF-8.
        request = Request(
            method="POST",
            path="/scripts/check",
            query=as_query({**limits, **schemas}),
            headers=_JAVASCRIPT,
            body=Body(source_bytes(source)),
        )
        return (yield from session.fetch(request, Accepted))
    # Anything but one JSON value could change the document around it.
    standard_json.loads(sample)
    document: dict[str, Any] = {
        "source": source_bytes(source).decode(),
        "limits": limits,
        "sample": Raw(sample),
        **schemas,
    }
    if "params" in options:
        document["params"] = Raw(encode(options["params"]))
    if "seed" in options:
        document["seed"] = options["seed"]
    request = Request(
        method="POST",
        path="/scripts/check",
        headers=JSON,
        body=Body(json.encode(document)),
    )
    return (yield from session.fetch(request, Accepted))


def show(session: Session, script: Ref) -> Flow[Script]:
    """Show a script."""
    return (yield from session.get(f"/scripts/{segment(script)}", Script))


def scripts_page(
    session: Session, cursor: str | None, *, name: str | None, archived: bool
) -> Flow[Page[Script]]:
    """Show one page of the scripts."""
    query = {"cursor": cursor, "limit": _PAGE, "name": name, "archived": archived or None}
    return (yield from session.get("/scripts", Page[Script], as_query(query)))


def versions_page(session: Session, script: Ref, cursor: str | None) -> Flow[Page[Version]]:
    """Show one page of a script's versions."""
    path = f"/scripts/{segment(script)}/versions"
    return (
        yield from session.get(path, Page[Version], as_query({"cursor": cursor, "limit": _PAGE}))
    )


def aliases_page(session: Session, script: Ref, cursor: str | None) -> Flow[Page[Alias]]:
    """Show one page of a script's aliases."""
    path = f"/scripts/{segment(script)}/aliases"
    return (yield from session.get(path, Page[Alias], as_query({"cursor": cursor, "limit": _PAGE})))


def version(session: Session, script: Ref, selector: int | str) -> Flow[Version]:
    """Show a version, by its number, an alias or `latest`."""
    path = f"/scripts/{segment(script)}/versions/{segment(selector)}"
    return (yield from session.get(path, Version))


def source(session: Session, script: Ref, selector: int | str) -> Flow[bytes]:
    """Read a version's source, byte for byte."""
    path = f"/scripts/{segment(script)}/versions/{segment(selector)}/source"
    reply = yield from session.deliver(Request(method="GET", path=path, headers={"Accept": "*/*"}))
    return reply.content


def diff(session: Session, script: Ref, old: int | str, new: int | str) -> Flow[str]:
    """Compare the sources of two versions; the result is a unified diff."""
    before = yield from source(session, script, old)
    after = yield from source(session, script, new)
    lines = difflib.unified_diff(
        before.decode(errors="replace").splitlines(keepends=True),
        after.decode(errors="replace").splitlines(keepends=True),
        fromfile=f"{script}@{old}",
        tofile=f"{script}@{new}",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def alias(session: Session, script: Ref, name: str) -> Flow[Alias]:
    """Show an alias."""
    return (yield from session.get(f"/scripts/{segment(script)}/aliases/{segment(name)}", Alias))


def promote(
    session: Session,
    script: Ref,
    name: str,
    to: int | str,
    *,
    condition: str | None = None,
    comparison: UUID | str | None = None,
    accept_differences: bool = False,
) -> Flow[Alias]:
    """Point an alias at a version; `condition` is the `ETag` that the alias must still have."""
    number = to
    if not isinstance(to, int):
        number = (yield from version(session, script, to)).version
    headers = {**JSON, "If-Match": condition} if condition else JSON
    document: dict[str, Any] = {"version": number}
    if comparison is not None:
        document["comparison"] = str(comparison)
    if accept_differences:
        document["accept"] = "differences"
    return (
        yield from session.fetch(
            Request(
                method="PUT",
                path=f"/scripts/{segment(script)}/aliases/{segment(name)}",
                headers=headers,
                body=Body(json.encode(document)),
                overwrites=True,
            ),
            Alias,
        )
    )


def rollback(session: Session, script: Ref, name: str) -> Flow[Alias]:
    """Point an alias at the version before its own. Raises CrivoError if that is the first."""
    path = f"/scripts/{segment(script)}/aliases/{segment(name)}"
    reply = yield from session.deliver(Request(method="GET", path=path))
    now = reply.decode(Alias)
    if now.version <= 1:
        raise CrivoError(f"{script}@{name} is version 1 already; there is none before it")
    # Another change since then is not overwritten.
    condition = reply.headers.get("etag")
    return (yield from promote(session, script, name, now.version - 1, condition=condition))


def set_archived(session: Session, script: Ref, *, archived: bool) -> Flow[Script]:
    """Archive a script or restore it."""
    return (
        yield from session.fetch(
            Request(
                method="PATCH",
                path=f"/scripts/{segment(script)}",
                headers=JSON,
                body=Body(json.encode({"archived": archived})),
            ),
            Script,
        )
    )


def source_bytes(given: Source) -> bytes:
    """Read a source. Raises OSError."""
    if isinstance(given, Path):
        return given.read_bytes()
    return given.encode() if isinstance(given, str) else given
