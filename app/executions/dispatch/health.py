"""Whether this worker's host lets it run executions, and how often it should try."""

import asyncio
from typing import Final

from app.outages import HOST, Outage, Unavailable, host_error_of
from app.resources import Resources
from app.sandbox.zygote_client import SandboxUnavailable

# What the host's trouble raises; it is never an execution's own.
HOST_TROUBLE: Final = (SandboxUnavailable, Unavailable, OSError, MemoryError)

_LONGEST_PAUSE_SECONDS: Final = 30.0
_PROBE: Final = b"function process() {}"


class HostHealth:
    """What keeps a worker from running executions, from its failures and from looking."""

    def __init__(self, resources: Resources, *, tenant: str) -> None:
        """Take what executions need; `tenant` is whom a sandbox is tried for."""
        self._resources = resources
        self._tenant = tenant
        self._sandbox = Outage("sandbox")
        self._faults = 0
        self._claim_from = 0.0
        # For clients: neither paths nor addresses. Empty: nothing does.
        self.trouble = ""

    def may_claim(self) -> bool:
        """Say whether the pause after the last failure is over."""
        return asyncio.get_running_loop().time() >= self._claim_from

    def failed(self, error: Exception) -> None:
        """Note the host's trouble, logged once, and pause."""
        if isinstance(error, SandboxUnavailable):
            self._sandbox.failed(str(error))
        elif not isinstance(error, Unavailable):
            # Unlike that of a store it has not been logged where it was raised.
            HOST.failed(" ".join(str(error).split()) or type(error).__name__)
            found = host_error_of(error)
            self.trouble = found.detail if found else "the worker's host is in trouble"
        self.pause()

    def pause(self) -> None:
        """Claim less often while the platform fails: one sick host must not burn a queue."""
        self._faults += 1
        # Bounded before it is raised: a fault of many hours must not overflow a float.
        pause_seconds = min(0.5 * 2 ** min(self._faults, 16), _LONGEST_PAUSE_SECONDS)
        self._claim_from = asyncio.get_running_loop().time() + pause_seconds

    def worked(self) -> None:
        """Note an execution that came to its end."""
        self._faults = 0
        self._sandbox.worked()

    async def check(self) -> None:
        """Find out whether executions could run here now."""
        if self._sandbox.reason:
            # Nothing may be queued that would show that it is over.
            try:
                await self._resources.sandbox.check(_PROBE, tenant=self._tenant)
            except SandboxUnavailable:
                self.trouble = "no sandbox can be started"
                return
            self._sandbox.worked()
        before, self.trouble = self.trouble, await self._resources.blobs.trouble()
        if before and not self.trouble:
            self._faults = 0
            self._claim_from = 0.0
