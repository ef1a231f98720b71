"""Decide whether this worker's host can run executions, and how often the worker claims."""

import asyncio
from typing import Final

from app.outages import HOST, Outage, Unavailable, host_error_of
from app.resources import Resources
from app.sandbox.zygote_client import SandboxUnavailable

# Raised by trouble of the host or of its dependencies, never by an execution.
HOST_TROUBLE: Final = (SandboxUnavailable, Unavailable, OSError, MemoryError)

_MAX_PAUSE_SECONDS: Final = 30.0
_PROBE: Final = b"function process() {}"


class HostHealth:
    """The health of a worker's host, from its failures and from its own checks."""

    def __init__(self, resources: Resources, *, tenant: str) -> None:
        """Use the resources' sandbox and blobs; checks run the sandbox for `tenant`."""
        self._resources = resources
        self._tenant = tenant
        self._sandbox = Outage("sandbox")
        self._failures = 0
        self._claim_from = 0.0
        # Shown to clients, so it holds neither paths nor addresses. Empty: no trouble.
        self.trouble = ""

    def may_claim(self) -> bool:
        """Report whether the pause after the last failure is over."""
        return asyncio.get_running_loop().time() >= self._claim_from

    def host_failed(self, error: Exception) -> None:
        """Note the host's trouble, log the first of it, and pause claiming."""
        if isinstance(error, SandboxUnavailable):
            self._sandbox.failed(str(error))
        elif not isinstance(error, Unavailable):
            # Trouble of a store is logged where it is raised, this is not.
            HOST.failed(" ".join(str(error).split()) or type(error).__name__)
            shortage = host_error_of(error)
            self.trouble = shortage.detail if shortage else "the worker's host is in trouble"
        self.pause()

    def pause(self) -> None:
        """Claim less often while the host fails, to spare the queue's attempts."""
        self._failures += 1
        # The exponent is bounded: hours of failures must not overflow a float.
        pause_seconds = min(0.5 * 2 ** min(self._failures, 16), _MAX_PAUSE_SECONDS)
        self._claim_from = asyncio.get_running_loop().time() + pause_seconds

    def succeeded(self) -> None:
        """Note that an execution was run and recorded."""
        self._failures = 0
        self._sandbox.worked()

    async def check(self) -> None:
        """Check whether the host could run executions now."""
        if self._sandbox.reason:
            # With nothing queued, no execution would show that the outage is over.
            try:
                await self._resources.sandbox.check(_PROBE, tenant=self._tenant)
            except SandboxUnavailable:
                self.trouble = "no sandbox can be started"
                return
            self._sandbox.worked()
        before, self.trouble = self.trouble, await self._resources.blobs.trouble()
        if before and not self.trouble:
            self._failures = 0
            self._claim_from = 0.0
