"""Workers as data."""

from msgspec import Struct


class Worker(Struct, frozen=True, kw_only=True):
    """A worker that was alive a moment ago, and what holds its sandbox."""

    host: str
    pid: int
    slots: int
    v8_version: str
    lockdown: dict[str, str]


class Live(Struct, frozen=True):
    """The process answers."""

    live: bool = True


class Ready(Struct, frozen=True, kw_only=True):
    """Whether executions are accepted and run, and if not, what is missing.

    `lockdown` is what holds this process's own sandbox, measured inside it; each worker
    says the same of its own.
    """

    ready: bool
    missing: list[str]
    v8_version: str
    lockdown: dict[str, str]
    workers: list[Worker]
