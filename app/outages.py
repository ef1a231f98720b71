"""Errors of unavailable dependencies, and one log line for the begin and end of each outage.

The modules that use a dependency raise them (`app/db.py`, `app/blobs.py`), so an error names the
dependency that failed.
"""

import errno
from time import monotonic
from typing import ClassVar, Final

import structlog

from app.errors import Problem

log = structlog.get_logger(__name__)

# A success ends an outage once nothing has failed for this long: on a full disk, reads succeed
# between failing writes.
_SETTLED_SECONDS: Final = 2.0
# For dependencies that report no success: a failure after this long is a new outage.
_NEW_OUTAGE_SECONDS: Final = 60.0


class Unavailable(Problem):
    """The service is temporarily unable to serve the request; a client may retry.

    `detail` is for clients. `reason` is for operators: it may contain paths and addresses.
    """

    status: ClassVar[int] = 503
    retry_after_seconds: ClassVar[int] = 1
    default_detail: ClassVar[str] = ""

    def __init__(self, detail: str = "", *, reason: str = "") -> None:
        """Take the text for clients and the text for operators."""
        headers = {"Retry-After": str(self.retry_after_seconds)}
        super().__init__(detail or self.default_detail, headers=headers)
        self.reason = reason

    def __str__(self) -> str:
        """Return the text for operators."""
        return f"{self.detail}: {self.reason}" if self.reason else self.detail


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be used at the moment."""

    code = "database-unavailable"
    title = "The database cannot be reached at the moment"
    default_detail = "PostgreSQL does not answer"


class DatabaseFull(DatabaseUnavailable):
    """PostgreSQL has no disk space left."""

    status = 507
    code = "database-full"
    title = "The database has no disk space left"
    retry_after_seconds = 30
    default_detail = "PostgreSQL has no disk space left"


class BlobsUnavailable(Unavailable):
    """The blob store cannot be used at the moment."""

    code = "blob-store-unavailable"
    title = "The store of large payloads cannot be used at the moment"
    retry_after_seconds = 5
    default_detail = "the blob store does not work"


class BlobsFull(BlobsUnavailable):
    """The blob store has no space left."""

    status = 507
    code = "blob-store-full"
    title = "The store of large payloads is full"
    retry_after_seconds = 30
    default_detail = "the blob store is full"


class HostExhausted(Unavailable):
    """The host has no more descriptors, memory or processes to give."""

    code = "host-out-of-resources"
    title = "The service's host is short of resources at the moment"
    retry_after_seconds = 5
    default_detail = "the service's host is short of resources"


class DiskFull(HostExhausted):
    """A disk of the host is full, such as the one of temporary files."""

    status = 507
    code = "disk-full"
    title = "The service's disk is full"
    retry_after_seconds = 30
    default_detail = "the service's disk is full"


class Outage:
    """The state of one dependency, as the module that uses it reports it."""

    def __init__(self, dependency: str) -> None:
        """Take the dependency's name for the log."""
        self._dependency = dependency
        self._began_at = 0.0
        self._failed_at = float("-inf")
        self._failures = 0
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why the dependency is unavailable; "" while it works."""
        return self._reason

    def failed(self, reason: str) -> None:
        """Record a failure; the first of an outage is logged."""
        now = monotonic()
        if not self._reason or now - self._failed_at > _NEW_OUTAGE_SECONDS:
            self._began_at = now
            self._failures = 0
            log.warning("outage.began", dependency=self._dependency, reason=reason)
        self._failed_at = now
        self._failures += 1
        self._reason = reason

    def worked(self) -> None:
        """Record a success; it ends the outage once failures have stopped."""
        if not self._reason:
            return
        now = monotonic()
        if now - self._failed_at < _SETTLED_SECONDS:
            return
        log.info(
            "outage.ended",
            dependency=self._dependency,
            seconds=round(now - self._began_at, 1),
            failures=self._failures,
        )
        self._reason = ""

    @property
    def is_past(self) -> bool:
        """Whether a failure from now on would be that of another outage."""
        return monotonic() - self._failed_at > _NEW_OUTAGE_SECONDS


class Outages:
    """The states of dependencies of one kind, of which there can be very many, by their names."""

    def __init__(self, kind: str) -> None:
        """Take what comes before each name in the log."""
        self._kind = kind
        # Those that fail, or have failed a moment ago.
        self._outages: dict[str, Outage] = {}

    def failed(self, name: str, reason: str) -> None:
        """Record a failure of one."""
        if name not in self._outages:
            # What nobody uses any more never works again.
            for each in [name for name, outage in self._outages.items() if outage.is_past]:
                del self._outages[each]
            self._outages[name] = Outage(f"{self._kind} {name}")
        self._outages[name].failed(reason)

    def worked(self, name: str) -> None:
        """Record a success of one."""
        outage = self._outages.get(name)
        if outage is not None:
            outage.worked()
            if not outage.reason:
                del self._outages[name]


HOST: Final = Outage("host")
_FULL_ERRNOS: Final = {errno.ENOSPC, errno.EDQUOT}
_EXHAUSTED_ERRNOS: Final = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.EIO,
    errno.EROFS,
}


def reason_of(error: BaseException) -> str:
    """Return an error's text in one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def host_error_of(error: BaseException) -> HostExhausted | None:
    """Return an error as the temporary trouble of the host that it reports, or None."""
    reason = reason_of(error)
    if isinstance(error, MemoryError):
        return HostExhausted(reason=reason)
    if not isinstance(error, OSError):
        return None
    if error.errno in _FULL_ERRNOS:
        return DiskFull(reason=reason)
    return HostExhausted(reason=reason) if error.errno in _EXHAUSTED_ERRNOS else None
