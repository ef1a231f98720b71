"""Load what a job validates: the schemas that a version of a script, or a dataset, names."""

import hashlib
from uuid import UUID

from msgspec import UNSET, UnsetType

from app.resources import Resources
from app.sandbox.schema_checks import Checks, ref_of
from app.schemas.pinned import SchemaKey, SchemaVersionRef


async def load_checks(
    resources: Resources,
    tenant: UUID,
    *,
    input: SchemaKey | None = None,  # noqa: A002 - the side's own word
    output: SchemaKey | None = None,
    record: SchemaKey | None = None,
) -> Checks | None:
    """Return the checks of a job's input and output; None: it has none.

    `record` is of the dataset that takes the output, which satisfies both.

    Takes no connection for schemas that this process has read before. Raises DatabaseUnavailable.
    """
    outputs = list(dict.fromkeys(each for each in (output, record) if each is not None))
    named = outputs if input is None else [input, *outputs]
    if not named:
        return None
    bundles, pool = resources.bundles, resources.pool
    return Checks(
        schemas=await bundles.schemas(pool, tenant, named),
        input=None if input is None else await bundles.uri(pool, tenant, *input),
        output=tuple([await bundles.uri(pool, tenant, *each) for each in outputs]) or None,
    )


async def describe_schema(
    resources: Resources, tenant: UUID, key: SchemaKey | None
) -> SchemaVersionRef | UnsetType:
    """Return a version as receipts name it; UNSET: there is none. Raises DatabaseUnavailable."""
    if key is None:
        return UNSET
    stored = (await resources.bundles.closure(resources.pool, tenant, [key]))[key]
    name, _, _ = ref_of(stored.uri).partition("@")
    digest = hashlib.sha256(stored.document).hexdigest()
    return SchemaVersionRef(id=key.schema_id, name=name, version=key.version, sha256=digest)
