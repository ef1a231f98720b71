"""Define workers and the responses of health checks."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from app.errors import Problem

Access = Literal["open", "keys"]


class EngineState(Struct, frozen=True, kw_only=True):
    """What runs parts of runs for a worker, beside its own slots.

    `slots`: parts that it can run at once. `trouble` is what keeps it, or some of its workers, from
    running any; null if nothing does.
    """

    name: Literal["dask"]
    slots: int
    trouble: str | None = None


class Worker(Struct, frozen=True, kw_only=True):
    """A worker with a recent heartbeat, and the confinement of its sandbox.

    `max_memory_bytes` is the highest memory limit that it can enforce; null means any.
    `trouble` is what keeps it from running executions at the moment; null if it can run them.
    `engine` runs parts of runs for it; null if nothing does.
    """

    host: str
    pid: int
    slots: int
    max_memory_bytes: int | None
    v8_version: str
    lockdown: dict[str, str]
    trouble: str | None = None
    engine: EngineState | None = None


class Live(Struct, frozen=True):
    """The process responds."""

    live: bool = True


class Ready(Struct, frozen=True, kw_only=True):
    """Whether executions are accepted and run; `missing` lists what prevents it.

    `degraded` lists outages that do not prevent it. `access` tells whether requests need a key
    (`keys`) or not (`open`). Authorized callers also get `lockdown`, the confinement of this
    process's own sandbox as measured inside it and the `isolation` of its executions, and the
    workers with theirs.
    """

    ready: bool
    missing: list[str]
    access: Access
    degraded: list[str] | UnsetType = UNSET
    v8_version: str | UnsetType = UNSET
    lockdown: dict[str, str] | UnsetType = UNSET
    workers: list[Worker] | UnsetType = UNSET


class NoWorkerLargeEnough(Problem):
    """The workers are alive, and none has enough memory for the limit."""

    status = 422
    code = "no-worker-large-enough"
    title = "No live worker can enforce that memory limit"
