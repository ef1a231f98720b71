"""Run the claimed parts of runs, in a worker or on its engine, and go on with their runs."""

from uuid import UUID

from typing_extensions import override

from app.executions.dispatch.engine_slots import PartLost, Parts
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Finish
from app.resources import Resources
from app.runs.advance import try_advance
from app.runs.engines.engine import Engine, run_on
from app.runs.engines.local import LocalEngine
from app.workers.model import EngineState


class LocalParts(Parts):
    """Runs parts in the worker's own sandbox."""

    def __init__(self, resources: Resources) -> None:
        """Use the resources of the worker."""
        self._resources = resources
        self._local = LocalEngine(resources)
        # Runs that are being advanced here, and those of them that another part has ended since.
        self._advancing: set[UUID] = set()
        self._again: set[UUID] = set()

    @property
    @override
    def capacity(self) -> int:
        return 0

    @property
    @override
    def max_memory_bytes(self) -> int | None:
        return None

    @property
    @override
    def engine(self) -> EngineState | None:
        return None

    @override
    async def run(self, claim: Claim, usage: ResourceUsage) -> Finish:
        return await run_on(self._local, claim, usage)

    @override
    async def run_elsewhere(self, claim: Claim, usage: ResourceUsage) -> Finish:
        raise PartLost("there is no engine", begun=False)

    @override
    async def ended(self, claim: Claim) -> None:
        assert claim.run_id is not None  # noqa: S101 - it is a part
        run_id = claim.run_id
        if run_id in self._advancing:
            # One connection for each run, however many of its parts end at once.
            self._again.add(run_id)
            return
        self._advancing.add(run_id)
        try:
            await try_advance(self._resources, run_id)
            while run_id in self._again:
                self._again.discard(run_id)
                await try_advance(self._resources, run_id)
        finally:
            self._advancing.discard(run_id)
            self._again.discard(run_id)


class EngineParts(LocalParts):
    """Runs parts on an engine, too: as many beside the worker's own slots as it has room for."""

    def __init__(self, resources: Resources, engine: Engine) -> None:
        """Use the resources of the worker, and its engine."""
        super().__init__(resources)
        self._engine = engine

    @property
    @override
    def capacity(self) -> int:
        return self._engine.capacity

    @property
    @override
    def max_memory_bytes(self) -> int | None:
        return self._engine.max_memory_bytes

    @property
    @override
    def engine(self) -> EngineState | None:
        return self._engine.state

    @override
    async def run_elsewhere(self, claim: Claim, usage: ResourceUsage) -> Finish:
        return await run_on(self._engine, claim, usage)
