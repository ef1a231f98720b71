"""Carry out one task in a process of its own: a request on standard input, messages on output."""

import os
import resource
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from time import process_time
from typing import BinaryIO, Final, NoReturn

import duckdb
from msgspec.structs import replace

from app.exports.plan import protocol
from app.exports.plan.confinement import confine
from app.exports.plan.model import (
    BucketTask,
    MapTask,
    Progress,
    Report,
    Task,
    TaskFailed,
    Whole,
    WriteTask,
)
from app.exports.plan.progress import Meter
from app.exports.plan.room import lack_of, limit_files, overrun
from app.exports.plan.session import open_session, threads_of
from app.exports.plan.stages import run_bucket, run_map, run_write
from app.exports.plan.whole import run_whole
from app.limits import GIB, KIB, MAX_EXPORT_REPORT_BYTES
from app.sandbox.lockdown import die_with_parent

_OUT_OF_MEMORY: Final = "the task needs more memory than it has, also with spilling"
# They may not happen again; what else is raised is a fault of the program, and does.
_OF_THE_HOST: Final = (OSError, duckdb.OperationalError, duckdb.FatalException)
_PROGRESS_S: Final = 0.5
_STATUS_BYTES: Final = 16 * KIB
# What is reserved but not in use counts, too: as much again as the task takes, and libraries.
_DATA_SHARE: Final = 2
_DATA_BYTES: Final = 1 * GIB


def main(parent_pid: int) -> NoReturn:
    """Serve the one request, and end."""
    die_with_parent(parent_pid)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status_fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    # What a library prints must not be taken for a message.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    (length,) = protocol.LENGTH.unpack(sys.stdin.buffer.read(protocol.LENGTH.size))
    request = protocol.decode_request(sys.stdin.buffer.read(length))
    # A fault that takes memory without end ends this process, not others of the host.
    data_bytes = _DATA_SHARE * request.resources.memory_bytes + _DATA_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    if request.resources.room is not None:
        limit_files(request.resources.room)
    folders = (request.resources.spill, request.output)
    files = files_of(request.task)
    in_force = confine(files, folders, parent_pid=parent_pid, status_fd=status_fd)
    _send(replies, protocol.Confined(in_force))
    _send(replies, _answer(request, replies, status_fd))
    # All is written. To take the interpreter and its modules apart is a tenth of a small task.
    os._exit(0)


def _answer(request: protocol.Request, replies: BinaryIO, status_fd: int) -> protocol.Message:
    try:
        report = _run(request, replies)
    except TaskFailed as failure:
        return _failed(failure)
    except Exception as error:  # noqa: BLE001 - each attempt would find it, whatever it is
        lack = lack_of(error, request.resources.room)
        return _classified(error) if lack is None else _failed(lack)
    return protocol.Done(
        replace(
            report,
            duckdb=duckdb.__version__,
            cpu_ms=process_time() * 1_000,
            peak_memory_bytes=_peak_bytes(status_fd),
        )
    )


def _failed(failure: TaskFailed) -> protocol.Failed:
    return protocol.Failed(failure.kind, str(failure), failure.details)


def _classified(error: Exception) -> protocol.Message:
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        return protocol.Failed("out_of_memory", _OUT_OF_MEMORY, {})
    if isinstance(error, _OF_THE_HOST):
        return protocol.Broken(message)
    return protocol.Faulty("".join(traceback.format_exception(error)))


def _run(request: protocol.Request, replies: BinaryIO) -> Report:
    meter = Meter(sum(Path(file).stat().st_size for file in files_of(request.task)))
    try:
        return _attempt(request, meter, replies)
    except duckdb.OutOfMemoryException as error:
        if threads_of(request.resources) == 1 or lack_of(error, request.resources.room):
            raise
        # Wide rows need more for each thread than is usual.
        for folder in (request.resources.spill, request.output):
            _empty(Path(folder))
        meter.restart()
        alone = replace(request, resources=replace(request.resources, threads=1))
        return _attempt(alone, meter, replies)


def _attempt(request: protocol.Request, meter: Meter, replies: BinaryIO) -> Report:
    output = Path(request.output)
    with (
        open_session(request.resources, files=files_of(request.task), output=output) as connection,
        _reported(meter, connection, request, replies),
    ):
        return carry_out(connection, request, output, meter)


def _empty(folder: Path) -> None:
    # Not the folder itself, which the process may not make again.
    for path in folder.iterdir():
        if path.is_dir():
            rmtree(path)
        else:
            path.unlink()


def carry_out(
    connection: duckdb.DuckDBPyConnection, request: protocol.Request, output: Path, meter: Meter
) -> Report:
    """Carry out a task in an open database. Raises TaskFailed."""
    plan, resources = request.plan, request.resources
    match request.task:
        case Whole() as task:
            return run_whole(connection, task, plan, resources, output, meter)
        case MapTask() as task:
            return run_map(connection, task, plan, resources, output, meter)
        case BucketTask() as task:
            return run_bucket(connection, task, plan, output, meter)
        case WriteTask() as task:
            return run_write(connection, task, plan, resources, output, meter)


def files_of(task: Task) -> list[str]:
    """Return the files that a task reads."""
    match task:
        case Whole():
            return [*(s.local for s in task.sources), *(h.local for h in task.base)]
        case MapTask():
            return [source.local for source in task.sources]
        case BucketTask() | WriteTask():
            return [held.local for held in task.held]


@contextmanager
def _reported(
    meter: Meter,
    connection: duckdb.DuckDBPyConnection,
    request: protocol.Request,
    replies: BinaryIO,
) -> Iterator[None]:
    """Send the progress twice a second, if it has changed; end a task that is over its room."""
    ended = threading.Event()
    room = request.resources.room
    folders = (Path(request.resources.spill), Path(request.output))

    def report() -> None:
        sent = -1
        while not ended.wait(_PROGRESS_S):
            if room is not None and (failure := overrun(room, folders)):
                _send(replies, _failed(failure))
                # Whatever the task is amid: nothing of it is used.
                os._exit(0)
            now = meter.bytes_read(connection.query_progress())
            if now > sent:
                sent = now
                _send(replies, protocol.Advanced(Progress(bytes_read=now, total_bytes=meter.total)))

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _send(replies: BinaryIO, message: protocol.Message) -> None:
    data = protocol.encode(message)
    if len(data) > MAX_EXPORT_REPORT_BYTES:
        reason = f"the report of the task has {len(data)} bytes"
        data = protocol.encode(protocol.Failed("out_of_memory", reason, {}))
    replies.write(protocol.LENGTH.pack(len(data)) + data)
    replies.flush()


def _peak_bytes(status_fd: int) -> int:
    # Not ru_maxrss, which begins with that of the parent.
    for line in os.pread(status_fd, _STATUS_BYTES, 0).splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) * KIB
    return 0
