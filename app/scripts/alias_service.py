"""Move, show, list and remove aliases."""

from uuid import UUID

from msgspec import UNSET, UnsetType

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.db import Connection
from app.errors import invalid
from app.pagination import Page, Paginator
from app.preconditions import NO_PRECONDITIONS, Preconditions
from app.references import Alias, is_alias
from app.resources import Resources
from app.scripts import alias_store as store
from app.scripts.model import ComparisonVerdict, MoveAlias
from app.scripts.problems import PromotionRefused, version_not_found
from app.scripts.service import locked_script, read_script, read_version, target_of


async def move(
    resources: Resources,
    caller: Caller,
    script: UUID | str,
    *,
    alias: str,
    wanted: MoveAlias,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> Alias:
    """Make an alias name a version. Moving it to the version that it names changes nothing.

    Raises InvalidRequest, ScriptNotFound, ScriptArchived, VersionNotFound, PreconditionFailed,
    PromotionRefused.
    """
    if not is_alias(alias):
        raise invalid("/alias", f"{alias!r} cannot name a version")
    if wanted.accept is not UNSET and wanted.comparison is UNSET:
        raise invalid("/accept", "says nothing without a `comparison`")
    version = wanted.version
    # The script's row is locked, so that reading the alias and moving it are one step.
    async with locked_script(resources, caller.tenant, script) as (conn, script_id):
        await read_version(conn, caller.tenant, script_id, version)
        current = await store.select_alias(conn, caller.tenant, script_id, alias)
        preconditions.require(None if current is None else current.etag)
        verdict = None
        if not isinstance(wanted.comparison, UnsetType):
            verdict = await _find_verdict(
                conn, caller.tenant, script_id, wanted.comparison, version=version
            )
        if current is not None and current.version == version:
            return current
        details: dict[str, object] = {"version": version}
        if verdict is not None and not isinstance(wanted.comparison, UnsetType):
            clean = _require_permission(verdict, current, wanted, wanted.comparison)
            details |= {"comparison": str(wanted.comparison), "clean": clean}
            if wanted.accept is not UNSET:
                details["accept"] = wanted.accept
        moved = await store.put_alias(conn, caller.tenant, script_id, alias=alias, version=version)
        target = f"{target_of(script_id)}/aliases/{alias}"
        await log_action(conn, caller, Action.ALIAS_MOVED, target, details=details)
        return moved


async def show(resources: Resources, tenant: UUID, script: UUID | str, alias: str) -> Alias:
    """Return one alias. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn:
        named = await read_script(conn, tenant, script)
        current = None
        if is_alias(alias):
            current = await store.select_alias(conn, tenant, named.id, alias)
    if current is None:
        raise version_not_found(named.name, alias)
    return current


async def list_aliases(
    resources: Resources, tenant: UUID, script: UUID | str, *, cursor: str | None, limit: int
) -> Page[Alias]:
    """List a script's aliases by name. Raises ScriptNotFound, InvalidRequest."""
    async with resources.pool.acquire() as conn:
        script_id = (await read_script(conn, tenant, script)).id
        paginator = Paginator("aliases", script_id)
        aliases = await store.select_alias_page(
            conn, tenant, script_id, after=paginator.after(cursor), limit=limit + 1
        )
    return paginator.page_by_name(aliases, [each.alias for each in aliases], limit=limit)


async def remove(
    resources: Resources,
    caller: Caller,
    script: UUID | str,
    alias: str,
    *,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> None:
    """Remove an alias. Raises ScriptNotFound, VersionNotFound, PreconditionFailed."""
    async with locked_script(resources, caller.tenant, script, allow_archived=True) as (
        conn,
        script_id,
    ):
        current = None
        if is_alias(alias):
            current = await store.select_alias(conn, caller.tenant, script_id, alias)
        if current is None:
            name = (await read_script(conn, caller.tenant, script_id)).name
            raise version_not_found(name, alias)
        preconditions.require(current.etag)
        await store.delete_alias(conn, caller.tenant, script_id, alias)
        target = f"{target_of(script_id)}/aliases/{alias}"
        await log_action(conn, caller, Action.ALIAS_REMOVED, target)


async def _find_verdict(
    conn: Connection, tenant: UUID, script_id: UUID, comparison: UUID, *, version: int
) -> ComparisonVerdict:
    """Return the verdict on a version. Raises PromotionRefused.

    A repetition finds the alias moved already; it is held to this much.
    """
    verdict = await store.select_verdict(conn, tenant, script_id, comparison)
    if verdict is None:
        raise PromotionRefused(f"/comparison: the script has no comparison {comparison}")
    if verdict.to_version != version:
        raise PromotionRefused(
            f"/comparison: it compares version {verdict.from_version} with "
            f"{verdict.to_version}; the alias would name {version}"
        )
    return verdict


def _require_permission(
    verdict: ComparisonVerdict, current: Alias | None, wanted: MoveAlias, comparison: UUID
) -> bool:
    """Check that a comparison permits a move; return whether it is clean.

    Raises PromotionRefused.
    """
    present = None if current is None else current.version
    if verdict.from_version != present:
        names = "does not exist yet" if present is None else f"names version {present}"
        raise PromotionRefused(
            f"/comparison: it compares version {verdict.from_version} with "
            f"{verdict.to_version}; the alias {names} and would name {wanted.version}"
        )
    if not verdict.finished:
        raise PromotionRefused(
            f"/comparison: it has not finished; GET /comparisons/{comparison}?wait=30 waits for it"
        )
    if not verdict.clean and wanted.accept is UNSET:
        raise PromotionRefused(
            f"/comparison: not every result is the same; GET /comparisons/{comparison} has the "
            'differences, and "accept": "differences" moves the alias all the same'
        )
    return verdict.clean
