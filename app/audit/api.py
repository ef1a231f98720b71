"""Serve the HTTP route of the audit log."""

from litestar import Router

from app.audit import reference, store
from app.audit.model import Entry, EntryFilter
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import AnyRequest, parse_datetime, read_query
from app.http.methods import get
from app.pagination import Page, Paginator
from app.resources import Resources


@get("/", operation_class=reference.LIST_CHANGES, **needs(Scope.ADMIN))
async def list_changes(request: AnyRequest, resources: Resources) -> Page[Entry]:
    """List changes.

    Changes of scripts, versions, aliases, tenants and keys, with caller, time and address; newest
    first, a page at a time. An entry matches all filters. Submissions and their outcomes are not
    logged here: the executions themselves record them. The log is append-only: the database
    refuses to change it.
    """
    query = read_query(request, reference.EntryQuery)
    entry_filter = EntryFilter(
        tenant_id=query.tenant_id or None,
        key_id=query.key_id or None,
        action=query.action or None,
        target=query.target or None,
        created_from=parse_datetime("created_from", query.created_from),
        created_before=parse_datetime("created_before", query.created_before),
    )
    paginator = Paginator("changes", entry_filter)
    below = paginator.below(query.cursor or None)
    async with resources.pool.acquire() as conn:
        entries = await store.select_entry_page(
            conn, entry_filter, below=below, limit=query.limit + 1
        )
    return paginator.page(entries, [entry.id for entry in entries], limit=query.limit)


router = Router(path="/audit", tags=["audit"], route_handlers=[list_changes])
