"""Check a schema: find what it refers to, and compile it in a sandbox."""

from collections.abc import Iterable
from functools import partial
from typing import Final
from uuid import UUID

from msgspec import Struct, to_builtins

from app.auth.callers import Caller
from app.check_turns import check_turn
from app.errors import invalid
from app.limits import MAX_CLOSURE_BYTES, MAX_CLOSURE_DOCUMENTS, MAX_SCHEMA_BYTES
from app.resources import Resources
from app.sandbox.schema_checks import URI_PREFIX, SchemaSet
from app.sandbox.validation import check_schema
from app.schema_bundles import StoredSchema, Version, uri_of
from app.schemas.problems import InvalidSchema, SchemaTooLarge
from app.schemas.references import NotJson, Reference, find_references
from app.schemas.resolution_store import FoundVersion, select_named
from app.schemas.threads import in_checking_thread
from app.wording import printable

# What a schema that is only checked is called.
_NAMELESS: Final = "check"


class CheckedDocument(Struct, frozen=True, kw_only=True):
    """A schema without errors, with what it refers to.

    `schemas` are those of a job: the schema by its `uri`, and its closure.
    """

    document: bytes
    strict: bool
    uri: str
    schemas: SchemaSet
    references: tuple[Version, ...]
    refs: tuple[str, ...]


async def check_document(
    resources: Resources,
    caller: Caller,
    document: bytes,
    *,
    strict: bool,
    name: str | None,
    version: int,
) -> CheckedDocument:
    """Check a schema against its meta-schema, and compile it, in the tenant's turn.

    `name` and `version` make the URI that it would have. Raises InvalidRequest; SchemaTooLarge;
    InvalidSchema with every error; CheckBusy, TooManyChecks.
    """
    if len(document) > MAX_SCHEMA_BYTES:
        raise SchemaTooLarge(
            f"the schema has {len(document)} bytes; the limit is {MAX_SCHEMA_BYTES}"
        )
    uri = uri_of(name or _NAMELESS, version)
    async with check_turn(resources, caller):
        references = await _references(document)
        found = await _find(resources, caller.tenant, references)
        usable = {named: each for named, each in found.items() if not each.archived}
        closure = await _closure(resources, caller.tenant, usable.values())
        schemas = _bundled(uri, document, strict=strict, closure=closure)
        errors = await check_schema(
            resources.sandbox, tenant=str(caller.tenant), schemas=schemas, uri=uri
        )
    if errors:
        wrong = {each.pointer: _explain(each, found) for each in references}
        raise _invalid_schema([to_builtins(each) for each in errors], wrong)
    return CheckedDocument(
        document=document,
        strict=strict,
        uri=uri,
        schemas=schemas,
        references=tuple((each.schema_id, each.version) for each in usable.values()),
        refs=tuple(f"{name}@{number}" for name, number in sorted(usable)),
    )


async def _references(document: bytes) -> list[Reference]:
    try:
        return await in_checking_thread(partial(find_references, document))
    except NotJson as error:
        raise invalid("/schema", str(error)) from None


async def _find(
    resources: Resources, tenant: UUID, references: Iterable[Reference]
) -> dict[tuple[str, int], FoundVersion]:
    """Return the registered versions that exist, by name and number. Raises SchemaTooLarge."""
    wanted = {
        (each.name, each.version)
        for each in references
        if each.name is not None and each.version is not None
    }
    if len(wanted) >= MAX_CLOSURE_DOCUMENTS:
        raise _too_many()
    if not wanted:
        return {}
    async with resources.pool.acquire() as conn:
        return await select_named(conn, tenant, sorted(wanted))


async def _closure(
    resources: Resources, tenant: UUID, found: Iterable[FoundVersion]
) -> list[StoredSchema]:
    versions = [(each.schema_id, each.version) for each in found]
    if not versions:
        return []
    closure = await resources.bundles.closure(resources.pool, tenant, versions)
    return list(closure.values())


def _bundled(uri: str, document: bytes, *, strict: bool, closure: list[StoredSchema]) -> SchemaSet:
    """Put a schema and its closure together. Raises SchemaTooLarge."""
    if len(closure) >= MAX_CLOSURE_DOCUMENTS:
        raise _too_many()
    size_bytes = len(document) + sum(len(each.document) for each in closure)
    if size_bytes > MAX_CLOSURE_BYTES:
        raise SchemaTooLarge(
            f"the schema and those that it refers to have {size_bytes} bytes; the limit is "
            f"{MAX_CLOSURE_BYTES}"
        )
    strict_uris = {each.uri for each in closure if each.strict}
    return SchemaSet(
        documents={**{each.uri: each.document for each in closure}, uri: document},
        strict=frozenset({*strict_uris, uri} if strict else strict_uris),
    )


def _too_many() -> SchemaTooLarge:
    return SchemaTooLarge(
        "the schema and those that it refers to, however indirectly, are more than "
        f"{MAX_CLOSURE_DOCUMENTS}"
    )


def _explain(reference: Reference, found: dict[tuple[str, int], FoundVersion]) -> str | None:
    """Say why a reference does not lead to a registered schema; None: it does."""
    if not reference.text.startswith(URI_PREFIX):
        return f"a reference to a registered schema is written in full, like {uri_of('events', 3)}"
    if reference.name is None or reference.version is None:
        return (
            "names no exact version; a reference to a registered schema is like "
            f"{uri_of('events', 3)}"
        )
    version = found.get((reference.name, reference.version))
    if version is None:
        return f"there is no version {reference.version} of a schema {reference.name!r}"
    if version.archived:
        return f"the schema {reference.name!r} is archived, and nothing new can refer to it"
    return None


def _invalid_schema(
    errors: list[dict[str, str | None]], wrong: dict[str, str | None]
) -> InvalidSchema:
    shown = [
        {
            **{name: printable(text) for name, text in error.items() if text is not None},
            "message": printable(wrong.get(error["pointer"] or "") or error["message"] or ""),
        }
        for error in errors
    ]
    first = shown[0]
    place = f"{first['pointer']}: " if first["pointer"] else ""
    more = "" if len(shown) == 1 else f" (and {len(shown) - 1} more)"
    return InvalidSchema(f"{place}{first['message']}{more}", errors=shown)
