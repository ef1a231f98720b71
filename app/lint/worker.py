"""The process that reads structure: one source after another, with no secrets and little time.

A job is four bytes of length and the source; the answer four bytes of length and a Reading as
JSON. The end of the input is the end of the process.
"""

import gc
import resource
import struct
import sys
from typing import BinaryIO, Final

import msgspec

from app.lint.linter import lint

LENGTH: Final = struct.Struct("!I")
# A mebibyte of `;` took 3.4 s and 0.3 GB. What takes more is judged by V8 alone, and says so.
CPU_SECONDS: Final = 5
_MEMORY_BYTES: Final = 3 * 1024**3
# After a job that needed more than this, a fresh process takes less.
_KEEP_BYTES: Final = 192 * 1024**2


def main() -> None:
    """Serve the pipe that is standard input and output."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A job's objects die with it; looking for cycles among millions took most of the time.
    gc.disable()
    jobs, answers = sys.stdin.buffer, sys.stdout.buffer
    while source := _next(jobs):
        used_s = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used_s) + CPU_SECONDS, hard))
        answer = msgspec.json.encode(lint(source))
        answers.write(LENGTH.pack(len(answer)) + answer)
        answers.flush()
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > _KEEP_BYTES:
            return
        gc.collect()


def _next(jobs: BinaryIO) -> bytes:
    header = jobs.read(LENGTH.size)
    return jobs.read(LENGTH.unpack(header)[0]) if len(header) == LENGTH.size else b""
