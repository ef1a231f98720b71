"""Flows of schemas: one request each, or a few."""

import json as standard_json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, ValidationError, json

from crivo.bodies import Body, Data
from crivo.json_text import decode
from crivo.models import Page
from crivo.options import CheckSchemaOptions, PushSchemaOptions, Ref, TableOptions, as_query
from crivo.retries import Flow
from crivo.schema_models import (
    CheckedSchema,
    PushedSchema,
    Schema,
    SchemaVersion,
    Validated,
    ValidatedLines,
)
from crivo.script_flows import Source, source_bytes
from crivo.script_models import Alias
from crivo.session import Session
from crivo.wire import JSON, Reply, Request, segment

_NDJSON: Final = {"Content-Type": "application/x-ndjson"}
_CREATED: Final = 201
_PAGE: Final = 200
# Of one request: the service answers while lines arrive, and this client reads afterwards.
_PART_BYTES: Final = 1024 * 1024


class LineVerdicts(Struct, frozen=True, kw_only=True):
    """What one request says of lines."""

    lines: list[Validated]
    summary: ValidatedLines


class _Line(Struct, frozen=True):
    valid: bool | UnsetType = UNSET
    summary: ValidatedLines | UnsetType = UNSET


def push(
    session: Session, name: str, document: Source, options: PushSchemaOptions
) -> Flow[PushedSchema]:
    """Create a schema, or add a version unless the newest one has this very document."""
    request = Request(
        method="PUT",
        path=f"/schemas/{segment(name)}",
        headers=JSON,
        body=Body(_around(document, dict(options))),
    )
    reply = yield from session.deliver(request)
    return PushedSchema(schema=reply.decode(Schema), is_new=reply.status == _CREATED)


def check(session: Session, document: Source, options: CheckSchemaOptions) -> Flow[CheckedSchema]:
    """Check a schema, and compare it with a version."""
    request = Request(
        method="POST",
        path="/schemas/check",
        headers=JSON,
        body=Body(_around(document, dict(options))),
    )
    return (yield from session.fetch(request, CheckedSchema))


def show(session: Session, schema: Ref) -> Flow[Schema]:
    """Show a schema, or the version that a reference names."""
    return (yield from session.get(f"/schemas/{segment(schema)}", Schema))


def schemas_page(
    session: Session, cursor: str | None, *, name: str | None, archived: bool
) -> Flow[Page[Schema]]:
    """Show one page of the schemas."""
    query = {"cursor": cursor, "limit": _PAGE, "name": name, "archived": archived or None}
    return (yield from session.get("/schemas", Page[Schema], as_query(query)))


def versions_page(session: Session, schema: Ref, cursor: str | None) -> Flow[Page[SchemaVersion]]:
    """Show one page of a schema's versions."""
    query = as_query({"cursor": cursor, "limit": _PAGE})
    path = f"/schemas/{segment(schema)}/versions"
    return (yield from session.get(path, Page[SchemaVersion], query))


def version(session: Session, schema: Ref, selector: int | str) -> Flow[SchemaVersion]:
    """Show a version, by its number, an alias or `latest`."""
    path = f"/schemas/{segment(schema)}/versions/{segment(selector)}"
    return (yield from session.get(path, SchemaVersion))


def document(session: Session, ref: Ref) -> Flow[bytes]:
    """Read the document of a version, byte for byte."""
    path = f"/schemas/{segment(ref)}/document"
    reply = yield from session.deliver(Request(method="GET", path=path, headers={"Accept": "*/*"}))
    return reply.content


def ddl(session: Session, schema: Ref, dialect: str, options: TableOptions) -> Flow[str]:
    """Show the statement that creates a table of a version."""
    query = as_query({"dialect": dialect, **options, "partition": None})
    query += [("partition", column) for column in options.get("partition", ())]
    path = f"/schemas/{segment(schema)}/ddl"
    request = Request(method="GET", path=path, query=query, headers={"Accept": "*/*"})
    return (yield from session.deliver(request)).content.decode()


def diff(session: Session, old: Ref, new: Ref | Path) -> Flow[CheckedSchema]:
    """Compare a version, or a local file, which is as strict as `old` is, with `old`."""
    text = new if isinstance(new, Path) else (yield from document(session, new))
    named = yield from show(session, old if isinstance(new, Path) else new)
    strict = (named.version or named.latest_version).strict
    return (yield from check(session, text, {"against": str(old), "strict": strict}))


def aliases_page(session: Session, schema: Ref, cursor: str | None) -> Flow[Page[Alias]]:
    """Show one page of a schema's aliases."""
    path = f"/schemas/{segment(schema)}/aliases"
    return (yield from session.get(path, Page[Alias], as_query({"cursor": cursor, "limit": _PAGE})))


def alias(session: Session, schema: Ref, name: str) -> Flow[Alias]:
    """Show an alias."""
    return (yield from session.get(f"/schemas/{segment(schema)}/aliases/{segment(name)}", Alias))


def promote(session: Session, schema: Ref, name: str, to: int | str) -> Flow[Alias]:
    """Point an alias at a version."""
    number = to
    if not isinstance(to, int):
        number = (yield from version(session, schema, to)).version
    request = Request(
        method="PUT",
        path=f"/schemas/{segment(schema)}/aliases/{segment(name)}",
        headers=JSON,
        body=Body(json.encode({"version": number})),
        overwrites=True,
    )
    return (yield from session.fetch(request, Alias))


def change(session: Session, schema: Ref, members: dict[str, object]) -> Flow[Schema]:
    """Change what a schema says of itself, or archive it."""
    request = Request(
        method="PATCH",
        path=f"/schemas/{segment(schema)}",
        headers=JSON,
        body=Body(json.encode(members)),
    )
    return (yield from session.fetch(request, Schema))


def validate(session: Session, schema: Ref, data: Data, *, excerpts: bool) -> Flow[Validated]:
    """Validate one document."""
    request = Request(
        method="POST",
        path=f"/schemas/{segment(schema)}/validate",
        query=as_query({"excerpts": excerpts or None}),
        headers=JSON,
        body=Body(data),
    )
    return (yield from session.fetch(request, Validated))


def validate_part(
    session: Session, schema: Ref, part: bytes, *, first_line: int, excerpts: bool
) -> Flow[LineVerdicts]:
    """Validate whole lines; `first_line` is the number of the first one."""
    request = Request(
        method="POST",
        path=f"/schemas/{segment(schema)}/validate",
        query=as_query({"excerpts": excerpts or None}),
        headers=_NDJSON,
        body=Body(part),
    )
    reply = yield from session.deliver(request)
    *lines, last = reply.content.splitlines() or [b""]
    summary = _decoded(reply, last, _Line).summary
    if isinstance(summary, UnsetType):
        # An error took its place, or a proxy cut the answer off.
        raise reply.unexpected("a summary of all lines")
    found = (_decoded(reply, line, Validated) for line in lines)
    return LineVerdicts(
        lines=[_moved(each, by=first_line - 1) for each in found],
        summary=summary,
    )


class _LineCutter:
    """Cuts lines into the parts of one request each, with the numbers of their first lines."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._line = 1

    def parts(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Take more bytes; yield the parts that are complete."""
        self._waiting += chunk
        while len(self._waiting) >= _PART_BYTES:
            end = self._waiting.rfind(b"\n", 0, _PART_BYTES) + 1
            end = end or self._waiting.find(b"\n", _PART_BYTES) + 1
            if not end:
                return
            part = bytes(self._waiting[:end])
            del self._waiting[:end]
            yield self._line, part
            self._line += part.count(b"\n")

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """Yield what is left at the end."""
        if self._waiting:
            yield self._line, bytes(self._waiting)


def line_parts(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Cut lines into the parts of one request each; yield them with the number of their first."""
    cutter = _LineCutter()
    for chunk in chunks:
        yield from cutter.parts(chunk)
    yield from cutter.rest()


async def async_line_parts(chunks: AsyncIterable[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """Cut lines as `line_parts` does."""
    cutter = _LineCutter()
    async for chunk in chunks:
        for part in cutter.parts(chunk):
            yield part
    for part in cutter.rest():
        yield part


def _around(document: Source, members: dict[str, Any]) -> bytes:
    """Put a document into the body of a request. Raises ValueError if it is no JSON."""
    text = source_bytes(document)
    # Anything but one JSON value could change the document around it.
    standard_json.loads(text)
    return json.encode({"schema": Raw(text), **members})


def _moved(found: Validated, *, by: int) -> Validated:
    line = None if found.line is None else found.line + by
    return Validated(
        valid=found.valid, line=line, errors=found.errors, errors_omitted=found.errors_omitted
    )


def _decoded(reply: Reply, line: bytes, shape: type[Any]) -> Any:  # noqa: ANN401 - of that type
    try:
        return decode(line, shape)
    except (DecodeError, ValidationError):
        raise reply.unexpected("lines of Crivo's JSON") from None
