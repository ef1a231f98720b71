"""Workers as data."""

from msgspec import Struct


class Worker(Struct, frozen=True, kw_only=True):
    """A worker that was alive a moment ago, and what holds its sandbox."""

    host: str
    pid: int
    slots: int
    v8_version: str
    lockdown: dict[str, str]
