"""Read versions of schemas with all that they refer to, and keep them in memory.

A version and its references never change, so what was read once is never asked for again.
`app.resources` holds those of a process, so this is below it, and `app.schemas` above.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.db import Queryable
from app.errors import CrivoError
from app.limits import MIB
from app.sandbox.schema_checks import URI_PREFIX, SchemaSet

MAX_CACHED_BYTES: Final = 64 * MIB
# Of a version, beside its document.
_OVERHEAD_BYTES: Final = 1_024

# A version of a schema, by the schema's id and the version's number.
Version = tuple[UUID, int]


class SchemaGone(CrivoError):
    """A version that something refers to is not in the database."""


class StoredSchema(Struct, frozen=True, kw_only=True):
    """A version as it is kept in memory; `references` are the versions that it refers to."""

    uri: str
    document: bytes
    strict: bool
    references: tuple[Version, ...]

    @property
    def size_bytes(self) -> int:
        """The memory that this takes."""
        return len(self.document) + _OVERHEAD_BYTES


# UNION, not UNION ALL: a version that several refer to is read once.
SELECT_CLOSURE = """
WITH RECURSIVE closure AS (
    SELECT w.schema_id, w.version
    FROM unnest($2::uuid[], $3::integer[]) AS w (schema_id, version)
    UNION
    SELECT r.target_id, r.target_version
    FROM closure AS c
    JOIN schema_references AS r
      ON r.tenant_id = $1 AND r.schema_id = c.schema_id AND r.version = c.version
)
SELECT v.schema_id, v.version, s.name, v.document, v.strict, t.ids, t.versions
FROM closure AS c
JOIN schema_versions AS v
  ON v.tenant_id = $1 AND v.schema_id = c.schema_id AND v.version = c.version
JOIN schemas AS s ON s.tenant_id = $1 AND s.id = v.schema_id
CROSS JOIN LATERAL (
    SELECT array_agg(r.target_id ORDER BY r.target_id, r.target_version) AS ids,
           array_agg(r.target_version ORDER BY r.target_id, r.target_version) AS versions
    FROM schema_references AS r
    WHERE r.tenant_id = $1 AND r.schema_id = v.schema_id AND r.version = v.version
) AS t
"""


class SchemaBundles:
    """Versions of schemas that this process has read; those used longest ago give way."""

    def __init__(self, *, max_bytes: int = MAX_CACHED_BYTES) -> None:
        """Keep at most `max_bytes`."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[UUID, Version], StoredSchema] = OrderedDict()

    async def schemas(
        self, conn: Queryable, tenant: UUID, versions: Iterable[Version]
    ) -> SchemaSet:
        """Return what jobs validate with against these versions: all that they refer to, too.

        With the pool as `conn`, no connection is taken for what is in memory. Raises SchemaGone.
        """
        closure = await self.closure(conn, tenant, versions)
        return SchemaSet(
            documents={stored.uri: stored.document for stored in closure.values()},
            strict=frozenset(stored.uri for stored in closure.values() if stored.strict),
        )

    async def uri(self, conn: Queryable, tenant: UUID, schema_id: UUID, version: int) -> str:
        """Return the URI of a version. Raises SchemaGone."""
        closure = await self.closure(conn, tenant, [(schema_id, version)])
        return closure[schema_id, version].uri

    async def closure(
        self, conn: Queryable, tenant: UUID, versions: Iterable[Version]
    ) -> dict[Version, StoredSchema]:
        """Return versions and all that they refer to, however indirectly. Raises SchemaGone."""
        closure: dict[Version, StoredSchema] = {}
        wanted = dict.fromkeys(versions)
        read: dict[Version, StoredSchema] = {}
        while wanted:
            missing = []
            for version in wanted:
                stored = read.get(version) or self._find(tenant, version)
                if stored is None:
                    missing.append(version)
                else:
                    closure[version] = stored
            if missing:
                read |= await self._read(conn, tenant, missing)
                closure |= {version: read[version] for version in missing}
            wanted = dict.fromkeys(
                target
                for version in wanted
                for target in closure[version].references
                if target not in closure
            )
        return closure

    def _find(self, tenant: UUID, version: Version) -> StoredSchema | None:
        stored = self._kept.get((tenant, version))
        if stored is not None:
            self._kept.move_to_end((tenant, version))
        return stored

    async def _read(
        self, conn: Queryable, tenant: UUID, versions: Sequence[Version]
    ) -> dict[Version, StoredSchema]:
        """Read versions and what they refer to. Raises SchemaGone."""
        ids, numbers = zip(*versions, strict=True)
        read: dict[Version, StoredSchema] = {}
        for row in await conn.fetch(SELECT_CLOSURE, tenant, ids, numbers):
            targets = zip(row["ids"] or (), row["versions"] or (), strict=True)
            read[row["schema_id"], row["version"]] = StoredSchema(
                uri=uri_of(row["name"], row["version"]),
                document=row["document"],
                strict=row["strict"],
                references=tuple(targets),
            )
        for schema_id, number in versions:
            if (schema_id, number) not in read:
                raise SchemaGone(f"no version {number} of the schema {schema_id}")
        for version, stored in read.items():
            self._keep((tenant, version), stored)
        return read

    def _keep(self, key: tuple[UUID, Version], stored: StoredSchema) -> None:
        # Concurrent calls may have read the same.
        if key in self._kept:
            return
        self._kept[key] = stored
        self._bytes += stored.size_bytes
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size_bytes


def uri_of(name: str, version: int) -> str:
    """Return the URI of a version, such as `crivo:/schemas/events@3`."""
    return f"{URI_PREFIX}{name}@{version}"
