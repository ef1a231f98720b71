"""Refuse an export that would replace, or lie within, an export of something else."""

from uuid import UUID

from app.db import Connection
from app.errors import located
from app.exports.acceptance_store import NewExport
from app.exports.choices import differences_there
from app.exports.destination_store import ExportThere, find_nearby, select_there
from app.exports.destinations import folders_above
from app.exports.plan.model import Plan
from app.exports.problems import ReplacesOtherExport
from app.exports.requests import CreateExport


async def require_same(
    conn: Connection, tenant: UUID, wanted: CreateExport, plan: Plan, new: NewExport
) -> None:
    """Compare an export with what is, or will be, at its destination, above and below it.

    Raises ReplacesOtherExport.
    """
    assert new.destination is not None  # noqa: S101 - the caller's condition
    for there in await select_there(conn, tenant, new.destination):
        how = _other(wanted, plan, new, there)
        if how is not None:
            has = "has" if there.is_published else "will have"
            message = (
                f"{new.destination} {has} an export of {there.dataset}@{there.snapshot} "
                f'({there.id}), {how}; `"replace": true` replaces it'
            )
            raise located("/to", ReplacesOtherExport(message))
    above = folders_above(new.destination)
    nearby = await find_nearby(conn, tenant, new.destination, above=above)
    if nearby is not None:
        where = "below" if nearby.destination in above else "above"
        message = (
            f"{new.destination} is {where} {nearby.destination}, the destination of an export of "
            f"{nearby.dataset}@{nearby.snapshot} ({nearby.id}), and readers of the outer folder "
            'would read both; `"replace": true` exports there all the same'
        )
        raise located("/to", ReplacesOtherExport(message))


def _other(wanted: CreateExport, plan: Plan, new: NewExport, there: ExportThere) -> str | None:
    """Return what makes an earlier export another one; None if the new one may replace it."""
    if there.dataset_id != new.dataset_id:
        if there.dataset == new.dataset:
            return f"of a dataset {new.dataset} that was deleted"
        return f"not of {new.dataset}"
    if there.snapshot > new.snapshot:
        return f"which is newer than {new.dataset}@{new.snapshot}"
    others = differences_there(
        wanted, plan, there, script_id=new.script_id, script_version=new.script_version
    )
    return f"with other choices: {others}" if others else None
