"""HTTP route of the audit log."""

from litestar import Router

from app.audit import reference, store
from app.audit.model import Entry, EntryFilter
from app.http.access import Scope, needs
from app.http.bodies import AnyRequest, parse_datetime, read_query
from app.http.methods import get
from app.pagination import Listing, Page
from app.resources import Resources


@get("/", operation_class=reference.LIST_CHANGES, **needs(Scope.ADMIN))
async def list_changes(request: AnyRequest, resources: Resources) -> Page[Entry]:
    """List changes.

    Who changed which script, version, alias, tenant or key, when and from where; newest first, a
    page at a time. Filters narrow the list together. What was submitted and what came of it is
    in the executions themselves. The log only grows: the database refuses to change it.
    """
    choices = read_query(request, reference.ListChoices)
    wanted = EntryFilter(
        tenant_id=choices.tenant_id or None,
        key_id=choices.key_id or None,
        action=choices.action or None,
        target=choices.target or None,
        created_from=parse_datetime("created_from", choices.created_from),
        created_before=parse_datetime("created_before", choices.created_before),
    )
    listing = Listing("changes", wanted)
    below = listing.below(choices.cursor or None)
    async with resources.pool.acquire() as conn:
        found = await store.select_entry_page(conn, wanted, below=below, limit=choices.limit + 1)
    return listing.page(found, [entry.id for entry in found], limit=choices.limit)


router = Router(path="/audit", tags=["audit"], route_handlers=[list_changes])
