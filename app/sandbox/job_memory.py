"""Limit the memory of one job from inside its cell, and know when an allocation has failed."""

import re
import time
from typing import Any, Final

from app.sandbox import lockdown
from app.sandbox.isolates import Isolate

# Private memory above the heap: V8's own, and temporary copies.
_PRIVATE_MEMORY_FACTOR: Final = 1.3
_SPARE_BYTES: Final = 92 * 1024 * 1024
# Limits are rounded up to a multiple of this, so that most jobs need not set them again.
_LIMIT_STEP_BYTES: Final = 8 * 1024 * 1024
_SPARE_CPU_S: Final = 3
# What V8 has not collected yet is mostly garbage, and does not count as a script's data.
_UNCOLLECTED_BYTES: Final = 32 * 1024 * 1024

# V8's error if it cannot allocate a buffer; user code may throw the same text.
_ALLOCATION_ERROR: Final = re.compile(
    r"RangeError: (?:Array buffer allocation failed|ArrayBuffer\.[\w.]+: Out of memory)\Z"
)
# The message alone is believed if private memory grew by this part of the limit.
_MIN_GROWTH: Final = 0.5


class JobMemory:
    """The memory of one job; made before the job runs."""

    def __init__(self, isolate: Isolate, *, statm_fd: int, heap_bytes: int) -> None:
        """Take the job's memory limit; `statm_fd` is /proc/self/statm."""
        self._isolate = isolate
        self._statm_fd = statm_fd
        self._heap_bytes = heap_bytes
        self._private_bytes = lockdown.private_bytes(statm_fd)
        self._data_bytes = 0
        self._cpu_s = 0

    def limit(self, *, payload_bytes: int, wall_ms: int) -> None:
        """Set the limits of V8 and of the process."""
        self._isolate.limit_memory(self._heap_bytes + _UNCOLLECTED_BYTES)
        # Three copies of the payload exist for a moment: received, copied, V8's own.
        budget = int(_PRIVATE_MEMORY_FACTOR * self._heap_bytes) + 3 * payload_bytes + _SPARE_BYTES
        self._data_bytes = _round_up(self._private_bytes + budget)
        self._cpu_s = int(time.process_time() + wall_ms / 1_000) + _SPARE_CPU_S
        lockdown.set_soft_limits(data_bytes=self._data_bytes, cpu_s=self._cpu_s)

    def widen(self, more_bytes: int, *, left_s: float) -> None:
        """Allow more for a part of the job that takes `left_s` of CPU time at most."""
        lockdown.set_soft_limits(
            data_bytes=_round_up(self._data_bytes + more_bytes),
            cpu_s=int(time.process_time() + left_s) + _SPARE_CPU_S,
        )

    def widen_for_output(self, encoded_bytes: int) -> None:
        """Allow for an encoded copy of the output, which does not count as the script's."""
        data_bytes = self._data_bytes + encoded_bytes + _SPARE_BYTES
        lockdown.set_soft_limits(data_bytes=data_bytes, cpu_s=self._cpu_s + 60)

    def allocation_failed(self, error: dict[str, Any], *, claim: str) -> bool:
        """Return whether V8 failed to allocate a buffer, which the message alone does not show.

        `claim` comes from harness.js: "failed" for an error that it caught before user code
        did, "claimed" for one that a buffer threw, possibly for another reason.
        """
        if claim == "failed" or (claim == "claimed" and self._isolate.allocation_may_have_failed()):
            return True
        if _ALLOCATION_ERROR.match(f"{error['name']}: {error['message']}") is None:
            return False
        growth = lockdown.private_bytes(self._statm_fd) - self._private_bytes
        return growth > _MIN_GROWTH * self._heap_bytes


def _round_up(size_bytes: int) -> int:
    return size_bytes + -size_bytes % _LIMIT_STEP_BYTES
