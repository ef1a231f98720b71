"""Run the claimed parts of runs in a worker, and go on with their runs."""

from contextlib import suppress

from app.datasets.parts import ObjectCache
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Finish
from app.limits import MIB
from app.outages import DatabaseUnavailable
from app.resources import Resources
from app.runs.advance import advance
from app.runs.part_runner import run_part

# Parts are read once, from their beginnings to their ends: the tables of a few are enough.
_CACHE_BYTES = 4 * MIB


class LocalParts:
    """Runs parts in the worker's own sandbox."""

    def __init__(self, resources: Resources) -> None:
        """Use the resources of the worker."""
        self._resources = resources
        self._cache = ObjectCache(resources.blobs, max_bytes=_CACHE_BYTES)

    async def run(self, claim: Claim, usage: ResourceUsage) -> Finish:
        """Run a part to its outcome, which is not recorded yet; raises what `run_part` raises."""
        return await run_part(self._resources, self._cache, claim, usage)

    async def ended(self, claim: Claim) -> None:
        """Go on with the run; what fails now is done within a second."""
        assert claim.run_id is not None  # noqa: S101 - it is a part
        with suppress(DatabaseUnavailable):
            await advance(self._resources, claim.run_id)
