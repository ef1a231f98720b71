"""Payloads pass through API and worker; neither ever holds one."""

import hashlib
from collections.abc import Iterator
from typing import Final

from scripts.benchmarks.accounts import peak_mib, reset_peaks
from tests.acceptance.system import System

MIB: Final = 2**20
_PAYLOAD_MIB: Final = 160
# Chunks on their way, and what the C library keeps of them.
_MOST_MIB: Final = 64


def test_neither_api_nor_worker_ever_holds_a_large_payload(stopped_system: System) -> None:
    system = stopped_system.start()
    system.upload("echo", "const process = data => data")
    assert system.run("echo", b"1", wall_ms=60_000)["status"] == "succeeded"
    assert system.api is not None
    pids = [system.api.pid, system.workers[0].pid]
    before = [peak_mib([pid]) for pid in pids]
    reset_peaks(pids)
    sent = hashlib.sha256()
    for chunk in _payload():
        sent.update(chunk)

    answer = system.client.post(
        "/scripts/echo/executions",
        content=_payload(),
        params={"wall_ms": 60_000, "memory_bytes": 2_048 * MIB},
    )
    assert answer.status_code == 202, answer.text
    execution = system.finished(answer.headers["Location"])
    received = hashlib.sha256()
    with system.client.stream("GET", execution["result_url"]) as result:
        for chunk in result.iter_bytes():
            received.update(chunk)

    assert execution["status"] == "succeeded", execution
    assert received.digest() == sent.digest()
    grown = [peak_mib([pid]) - base for pid, base in zip(pids, before, strict=True)]
    assert max(grown) < _MOST_MIB, grown


def _payload() -> Iterator[bytes]:
    """Give one text, which V8 reads and writes fast."""
    yield b'"'
    for _ in range(_PAYLOAD_MIB):
        yield b"x" * MIB
    yield b'"'
