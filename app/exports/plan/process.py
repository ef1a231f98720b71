"""Run a task in a process of its own, and take its report."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Final, assert_never

import msgspec
import structlog

from app.exports.plan import protocol
from app.exports.plan.model import (
    Plan,
    Progress,
    Report,
    Resources,
    Task,
    TaskFailed,
    TaskLost,
)
from app.limits import KIB, MAX_EXPORT_REPORT_BYTES

_ROOT: Final = Path(__file__).resolve().parents[3]
# -I ignores the environment and the current folder, so the root is an argument.
_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    " from app.exports.plan.child import main; main(int(sys.argv[1]))"
)
_STDERR_BYTES: Final = 8 * KIB
_FAULT: Final = "the program has a fault, which the operator finds in its log as export.fault"

log = structlog.get_logger(__name__)

# Of the last task of this process.
_noted: Final[dict[str, str]] = {}


async def run_task(
    task: Task,
    plan: Plan,
    resources: Resources,
    output_folder: Path,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Run a task, which writes its files into a folder; both folders exist and are empty.

    The process can read the files of the task, change those two folders and do little else. It
    dies with this one, and if the caller is cancelled.

    Raises:
        TaskFailed: the task cannot succeed.
        TaskLost: the process has died, or its host has trouble.
    """
    request = protocol.Request(task, plan, resources, str(output_folder))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-c",
        _BOOT,
        str(_ROOT),
        str(os.getpid()),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={},
        cwd="/",
        start_new_session=True,  # Ctrl-C is for the service to handle
    )
    try:
        report = await _converse(process, protocol.encode(request), on_progress)
        await process.wait()
    except BaseException:
        if process.returncode is None:
            process.kill()
        await asyncio.shield(process.wait())
        raise
    return report


async def _converse(
    process: Process, request: bytes, on_progress: Callable[[Progress], None] | None
) -> Report:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise TaskLost("the process has no pipes")
    async with asyncio.TaskGroup() as tasks:
        errors = tasks.create_task(_tail(process.stderr))
        try:
            process.stdin.write(protocol.LENGTH.pack(len(request)) + request)
            await process.stdin.drain()
            process.stdin.close()
            message = await _last_message(process.stdout, on_progress)
        except (ConnectionError, asyncio.IncompleteReadError):
            message = None
        except msgspec.DecodeError:
            # It may go on, and the end of its errors is waited for.
            process.kill()
            message = None
    match message:
        case protocol.Done():
            return message.report
        case protocol.Failed():
            raise TaskFailed(message.kind, message.message, message.details)
        case protocol.Broken():
            raise TaskLost(message.message)
        case protocol.Faulty():
            log.error("export.fault", report=message.report)
            raise TaskFailed("internal", _FAULT)
        case None:
            code = await process.wait()
            raise TaskLost(f"the process ended with {code}: {errors.result()}")
        case _:
            assert_never(message)


async def _last_message(
    output: asyncio.StreamReader, on_progress: Callable[[Progress], None] | None
) -> protocol.Done | protocol.Failed | protocol.Broken | protocol.Faulty:
    is_first = True
    while True:
        (length,) = protocol.LENGTH.unpack(await output.readexactly(protocol.LENGTH.size))
        if length > MAX_EXPORT_REPORT_BYTES:
            raise msgspec.DecodeError(f"a message has {length} bytes")
        data = await output.readexactly(length)
        # Not on the event loop: a report may have 100,000 bad rows.
        message = await asyncio.to_thread(protocol.decode_message, data)
        match message:
            case protocol.Confined():
                # Later it could be the word of what a fault has let in.
                if not is_first:
                    raise msgspec.DecodeError("a message came too late")
                _note(message.in_force)
            case protocol.Advanced():
                if on_progress is not None:
                    on_progress(message.progress)
            case _:
                return message
        is_first = False


def _note(in_force: dict[str, str]) -> None:
    """Log how tasks are confined, once, and again if that changes."""
    if in_force == _noted:
        return
    _noted.clear()
    _noted.update(in_force)
    is_filtered = in_force.get("seccomp") == "on" and in_force.get("landlock") == "on"
    (log.info if is_filtered else log.warning)("export.confined", in_force=in_force)


async def _tail(errors: asyncio.StreamReader) -> str:
    tail = b""
    while part := await errors.read(_STDERR_BYTES):
        tail = (tail + part)[-_STDERR_BYTES:]
    return tail.decode(errors="replace").strip()
