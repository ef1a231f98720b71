"""A cell that violates the protocol is killed, and its run is a crash."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from app.sandbox import feeder, session
from app.sandbox.cell_process import Cell, new_channel
from app.sandbox.cgroups import OomKills
from app.sandbox.classification import classify
from app.sandbox.meter import Exit
from app.sandbox.outcomes import Crashed, Io, OutOfMemory, Succeeded, TimedOut
from app.sandbox.protocol import (
    CHUNK_BYTES,
    HEADER,
    PIECE_BYTES,
    FrameReader,
    Kind,
    encode_result,
    send_frames,
)
from app.sandbox.session import run_session
from tests.support.sandbox_runs import MIB, job

# Longer than a job that is sent at once, whose start is not reported.
LONG = b"1" * 128 * 1024
STARTED = HEADER.pack(Kind.STARTED, 0)
# Takes what is sent to it, sends what it was given, then waits to be killed.
HOSTILE = """
import socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
channel.sendall(bytes.fromhex(sys.argv[2]))
exec(sys.argv[3])
while channel.recv(65536): pass
"""


def frame(kind: int, body: object = b"") -> bytes:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HEADER.pack(kind, len(encoded)) + encoded


def result(units: int) -> bytes:
    return frame(Kind.RESULT, encode_result(units))


def verdict(kind: str, **details: object) -> bytes:
    return frame(Kind.VERDICT, {"kind": kind, "run_ns": 0, "lines_dropped": 0, **details})


async def play(
    script: bytes,
    *,
    then: str = "",
    wall_ms: int = 10_000,
    output_bytes: int = 10,
    payload: bytes = LONG,
    stopped_s: float = 0,
    io: Io = Io.JSON,
) -> tuple[object, bytes]:
    """Let a real process stand where a cell would be: it sends `script`, then runs `then`.

    The kernel lets it do so after `stopped_s`.
    """
    ours, theirs = new_channel()
    stderr_read, stderr_write = os.pipe()
    with theirs:
        process = subprocess.Popen(  # noqa: ASYNC220 - a few ms
            [sys.executable, "-I", "-c", HOSTILE, str(theirs.fileno()), script.hex(), then],
            pass_fds=(theirs.fileno(),),
            stderr=stderr_write,
        )
    os.close(stderr_write)
    if stopped_s:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # noqa: ASYNC222 - a few ms
        asyncio.get_running_loop().call_later(stopped_s, process.send_signal, signal.SIGCONT)
    cell = Cell(
        pid=process.pid,
        pidfd=os.pidfd_open(process.pid),
        channel=ours,
        stderr_fd=stderr_read,
    )

    def reap() -> None:
        status = process.wait()
        cell.set_exited(Exit(status=status, cpu_ns=0, peak_bytes=0))

    asyncio.get_running_loop().add_reader(cell.pidfd, reap)
    output = bytearray()

    async def sink(chunk: bytes) -> None:
        output.extend(chunk)

    what = job(
        "const process = d => d",
        wall_ms=wall_ms,
        memory_bytes=64 * MIB,
        output_bytes=output_bytes,
    )
    what = replace(what, io=io)
    try:
        async with asyncio.timeout(60):
            ending = await run_session(
                cell,
                what,
                mode="run",
                payload=payload,
                sink=sink,
                oom_kills=OomKills(),
            )
    finally:
        asyncio.get_running_loop().remove_reader(cell.pidfd)
        cell.close()
        process.wait()
    return classify(ending.evidence, limits=what.limits, source=what.source), bytes(output)


@pytest.fixture
async def _loop_is_left_clean() -> AsyncIterator[None]:
    yield
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.usefixtures("_loop_is_left_clean")
async def test_a_valid_session_succeeds() -> None:
    script = (
        STARTED
        + frame(Kind.LOG, {"level": "log", "text": "x"})
        + result(3)
        + frame(Kind.OUTPUT, b"[1]")
        + verdict("succeeded", output_bytes=3)
    )
    assert await play(script) == (Succeeded(output_bytes=3), b"[1]")


@pytest.mark.usefixtures("_loop_is_left_clean")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(frame(99), id="unknown kind"),
        pytest.param(frame(Kind.JOB), id="a kind that only the pool sends"),
        pytest.param(frame(Kind.READY, {}), id="ready twice"),
        pytest.param(STARTED + STARTED, id="started twice"),
        pytest.param(frame(Kind.LOG, {"level": "log", "text": ""}), id="log before the start"),
        pytest.param(STARTED + frame(Kind.OUTPUT, b"1"), id="output before the result"),
        pytest.param(result(1), id="result before the start"),
        pytest.param(STARTED + result(11), id="result over the limit"),
        pytest.param(STARTED + frame(Kind.RESULT, b"1"), id="result of a wrong length"),
        pytest.param(
            STARTED + result(1) + frame(Kind.OUTPUT, b"x" * 11),
            id="output over the limit",
        ),
        pytest.param(verdict("succeeded"), id="success without a result"),
        pytest.param(
            STARTED + result(3) + verdict("succeeded", output_bytes=3),
            id="less output than said",
        ),
        pytest.param(
            STARTED
            + result(2)
            + frame(Kind.OUTPUT, b"1")
            + frame(Kind.OUTPUT, b"1")
            + verdict("succeeded", output_bytes=2),
            id="output in crumbs",
        ),
        pytest.param(
            STARTED
            + result(1)
            + frame(Kind.OUTPUT)
            + frame(Kind.OUTPUT, b"1")
            + verdict("succeeded", output_bytes=1),
            id="empty output",
        ),
        pytest.param(
            STARTED
            + result(1)
            + frame(Kind.OUTPUT, b"1")
            + verdict("succeeded", output_bytes=1, media_type="a/b"),
            id="a media type of JSON",
        ),
        pytest.param(verdict("promoted"), id="a verdict that does not exist"),
        pytest.param(verdict("threw"), id="an error without an error"),
        pytest.param(verdict("timed_out", extra=1), id="a verdict with more in it"),
        pytest.param(frame(Kind.VERDICT, b"\xff{"), id="a body that is not JSON"),
        pytest.param(frame(Kind.VERDICT, b"[" * 20_000), id="a body that is too deep"),
        pytest.param(HEADER.pack(Kind.LOG, 2**32 - 1), id="a body of 4 GiB"),
        pytest.param(HEADER.pack(Kind.VERDICT, 2**20), id="a body over its cap"),
    ],
)
async def test_a_breach_is_a_crash(script: bytes) -> None:
    outcome, _ = await play(script)
    assert isinstance(outcome, Crashed), outcome


@pytest.mark.usefixtures("_loop_is_left_clean")
@pytest.mark.parametrize("media_type", ["a/b", None, "b", "a/b\r\nX: y", "a/" + "b" * 254])
async def test_a_forged_media_type_is_a_crash(media_type: str | None) -> None:
    said = verdict("succeeded", output_bytes=1, media_type=media_type)
    outcome, _ = await play(
        STARTED + result(1) + frame(Kind.OUTPUT, b"1") + said, payload=LONG, io=Io.BYTES
    )
    assert isinstance(outcome, Succeeded if media_type == "a/b" else Crashed), outcome


ANSWER = result(3) + frame(Kind.OUTPUT, b"[1]") + verdict("succeeded", output_bytes=3)
SHORT = b"1"


@pytest.mark.usefixtures("_loop_is_left_clean")
@pytest.mark.parametrize("start", [b"", STARTED], ids=["in time", "late"])
async def test_a_job_that_is_sent_at_once_has_started(start: bytes) -> None:
    outcome, output = await play(start + ANSWER, payload=SHORT)
    assert (outcome, output) == (Succeeded(output_bytes=3), b"[1]")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(STARTED + STARTED + ANSWER, id="late twice"),
        pytest.param(
            frame(Kind.LOG, {"level": "log", "text": ""}) + STARTED + ANSWER,
            id="late after a line",
        ),
        pytest.param(result(3) + STARTED, id="late after the result"),
    ],
)
async def test_a_job_that_was_sent_at_once_starts_late_only_once(script: bytes) -> None:
    outcome, _ = await play(script, payload=SHORT)
    assert isinstance(outcome, Crashed), outcome


async def test_the_clock_runs_from_the_sending_of_a_job() -> None:
    outcome, _ = await play(b"", payload=SHORT, wall_ms=50)
    assert outcome == TimedOut(limit_ms=50)


async def test_a_cell_that_the_host_does_not_run_gets_time_to_start() -> None:
    outcome, _ = await play(STARTED + ANSWER, payload=SHORT, wall_ms=50, stopped_s=1)
    assert outcome == Succeeded(output_bytes=3)


async def test_a_cell_that_the_host_never_runs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "OWED_TIMEOUT_S", 0.1)
    outcome, _ = await play(b"", payload=SHORT, wall_ms=50, stopped_s=600)
    assert outcome == Crashed(detail="killed: it did not start")


async def test_a_cell_that_ignores_its_deadline_is_killed() -> None:
    outcome, _ = await play(STARTED, wall_ms=50)
    assert outcome == TimedOut(limit_ms=50)


async def test_a_cell_that_does_not_start_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "OWED_TIMEOUT_S", 0.1)
    outcome, _ = await play(b"")
    assert outcome == Crashed(detail="killed: it did not start")


async def test_a_cell_that_does_not_read_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeder, "OWED_TIMEOUT_S", 0.1)
    outcome, _ = await play(b"", then="__import__('time').sleep(600)", payload=b"1" * 8 * MIB)
    assert outcome == Crashed(detail="killed: it did not read")


async def test_a_cell_has_a_time_limit_for_all_of_its_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "OWED_TIMEOUT_S", 4.0)
    chunk = f"(bytes.fromhex('{HEADER.pack(Kind.OUTPUT, CHUNK_BYTES).hex()}') + b'1' * 2**20)"
    outcome, _ = await play(
        STARTED + result(1),
        then=f"import time\nwhile True: time.sleep(0.2); channel.sendall({chunk})",
        output_bytes=64 * MIB,
    )
    assert isinstance(outcome, Crashed), outcome
    assert "no output where output was due" in outcome.detail


async def test_a_cell_over_its_memory_limit_is_killed() -> None:
    outcome, _ = await play(STARTED, then="held = b'x' * 400_000_000")
    assert isinstance(outcome, OutOfMemory), outcome
    assert "resident set" in outcome.evidence


async def test_a_flood_of_console_lines_does_not_delay_the_deadline() -> None:
    line = frame(Kind.LOG, {"level": "log", "text": "x"})
    success = result(1) + frame(Kind.OUTPUT, b"1")
    success += verdict("succeeded", output_bytes=1)
    flood = f"""
import time
until, lines = time.monotonic() + 5, bytes.fromhex('{line.hex()}') * 4_000
while time.monotonic() < until: channel.sendall(lines)
channel.sendall(bytes.fromhex('{success.hex()}'))"""
    outcome, _ = await play(STARTED, then=flood, wall_ms=50)
    assert outcome == TimedOut(limit_ms=50)


async def test_a_cell_that_floods_stderr_is_killed() -> None:
    outcome, _ = await play(STARTED, then="while True: sys.stderr.write('x' * 1000)")
    assert isinstance(outcome, Crashed), outcome
    assert "stderr" in outcome.detail


async def test_a_silent_exit_is_a_crash() -> None:
    outcome, _ = await play(STARTED, then="sys.exit(3)")
    assert isinstance(outcome, Crashed), outcome
    assert "exit status 3" in outcome.detail


@pytest.mark.parametrize("in_advance", [0, 1, 100, PIECE_BYTES, 3 * PIECE_BYTES])
def test_a_body_read_in_pieces_is_complete(in_advance: int) -> None:
    sizes = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, CHUNK_BYTES, 7]
    bodies = [os.urandom(size) for size in sizes]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames = [(Kind.SOURCE, b"s" * in_advance), *((Kind.INPUT, body) for body in bodies)]
        sender = threading.Thread(target=send_frames, args=(theirs, [*frames, (Kind.END, b"")]))
        sender.start()
        reader = FrameReader(ours)
        reader.expect(Kind.SOURCE)
        found = []
        while (header := reader.read_header())[0] is Kind.INPUT:
            found.append(b"".join(bytes(piece) for piece in reader.pieces(header[1])))
        sender.join()

    assert found == bodies
    assert header == (Kind.END, 0)


def test_a_truncated_body_is_an_end() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(HEADER.pack(Kind.INPUT, 10) + b"12345")
        reader = FrameReader(ours)
        with pytest.raises(EOFError):
            list(reader.pieces(reader.read_header()[1]))
