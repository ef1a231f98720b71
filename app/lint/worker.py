"""Serve lint jobs in a process of its own, without secrets and with little CPU time.

A job is four bytes of length and the source; a reply is four bytes of length and a LintReport as
JSON. The process ends at the end of its input.
"""

import gc
import resource
import struct
import sys
from typing import BinaryIO, Final

import msgspec

from app.lint.linter import lint

LENGTH: Final = struct.Struct("!I")
# 1 MiB of `;` took 3.4 s and 0.3 GB. A source that takes longer is checked by V8 alone, and
# gets the warning `structure_not_checked`.
CPU_SECONDS: Final = 5
_MEMORY_BYTES: Final = 3 * 1024**3
# A process that has needed more than this is replaced by a smaller one.
_KEEP_BYTES: Final = 192 * 1024**2


def main() -> None:
    """Serve jobs from standard input until it ends."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A job's objects die with it; searching millions of them for cycles took most of the time.
    gc.disable()
    jobs, replies = sys.stdin.buffer, sys.stdout.buffer
    while source := _next(jobs):
        used_s = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used_s) + CPU_SECONDS, hard))
        reply = msgspec.json.encode(lint(source))
        replies.write(LENGTH.pack(len(reply)) + reply)
        replies.flush()
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > _KEEP_BYTES:
            return
        gc.collect()


def _next(jobs: BinaryIO) -> bytes:
    header = jobs.read(LENGTH.size)
    return jobs.read(LENGTH.unpack(header)[0]) if len(header) == LENGTH.size else b""
