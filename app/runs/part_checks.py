"""Load the schemas that a part of a run checks its records by."""

from app.executions.model import Claim
from app.resources import Resources
from app.runs.task_store import PartTask
from app.sandbox.parts import Task
from app.sandbox.schema_checks import Checks
from app.schemas.checks import load_checks


async def part_checks(resources: Resources, claim: Claim, task: PartTask) -> Checks | None:
    """Return what a part checks; None: nothing. Raises DatabaseUnavailable.

    A version has one schema of what it returns: by `map`, or if it only folds, by `finish`.
    """
    maps = task.task is Task.MAP
    returns = maps or (task.finishes and task.only_folds)
    return await load_checks(
        resources,
        claim.tenant_id,
        input=None if task.task is Task.MERGE else claim.input_schema,
        output=claim.output_schema if returns else None,
        record=task.record_schema if maps else None,
    )
