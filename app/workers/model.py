"""Workers as data."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from app.errors import Problem

Access = Literal["open", "keys"]


class Worker(Struct, frozen=True, kw_only=True):
    """A worker that was alive a moment ago, and what holds its sandbox.

    `max_memory_bytes` is the highest memory limit that it can keep; null: any.
    `trouble` is what keeps it from running executions at the moment, null where nothing does.
    """

    host: str
    pid: int
    slots: int
    max_memory_bytes: int | None
    v8_version: str
    lockdown: dict[str, str]
    trouble: str | None = None


class Live(Struct, frozen=True):
    """The process answers."""

    live: bool = True


class Ready(Struct, frozen=True, kw_only=True):
    """Whether executions are accepted and run, and if not, what is missing.

    `degraded` names what is missed without being needed. `access` says whether requests need a key
    (`keys`) or not (`open`). The rest is for those who
    are let in: `lockdown` is what holds this process's own sandbox, measured inside it; each
    worker says the same of its own.
    """

    ready: bool
    missing: list[str]
    access: Access
    degraded: list[str] | UnsetType = UNSET
    v8_version: str | UnsetType = UNSET
    lockdown: dict[str, str] | UnsetType = UNSET
    workers: list[Worker] | UnsetType = UNSET


class NoWorkerLargeEnough(Problem):
    """The workers are alive, and too small for the memory limit."""

    status = 422
    code = "no-worker-large-enough"
    title = "No worker that is alive can keep that memory limit"
