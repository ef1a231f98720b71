"""Run a script in a test's pool with a few chosen limits."""

import json
from collections.abc import AsyncIterator

from msgspec import Struct

from app.sandbox.outcomes import Job, Limits, LogLine, Outcome, Report, ScriptError, Threw
from app.sandbox.pool import SandboxPool

MIB = 1024 * 1024


class Ran(Struct, frozen=True):
    report: Report
    output: bytes

    @property
    def outcome(self) -> Outcome:
        return self.report.outcome

    @property
    def value(self) -> object:
        return json.loads(self.output)

    @property
    def logs(self) -> tuple[LogLine, ...]:
        return self.report.logs

    @property
    def error(self) -> ScriptError:
        assert isinstance(self.outcome, Threw), self.outcome
        return self.outcome.error


def job(  # noqa: PLR0913 - one for each thing a test may want to choose
    source: str | bytes,
    *,
    tenant: str = "t",
    seed: int = 1,
    clock_ms: int = 1_700_000_000_000,
    wall_ms: int = 10_000,
    cpu_ms: int | None = None,
    memory_bytes: int = 512 * MIB,
    output_bytes: int = 64 * MIB,
    console_lines: int = 1_000,
    console_bytes: int = 256 * 1024,
    console_line_bytes: int = 4 * 1024,
) -> Job:
    return Job(
        tenant=tenant,
        source=source.encode() if isinstance(source, str) else source,
        seed=seed,
        clock_ms=clock_ms,
        limits=Limits(
            wall_ms=wall_ms,
            cpu_ms=cpu_ms,
            memory_bytes=memory_bytes,
            output_bytes=output_bytes,
            console_lines=console_lines,
            console_bytes=console_bytes,
            console_line_bytes=console_line_bytes,
        ),
    )


async def chunks_of(payload: bytes, size: int = 256 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(payload), size):
        yield payload[start : start + size]


async def run_job(pool: SandboxPool, what: Job, payload: bytes = b"null") -> Ran:
    output = bytearray()

    async def sink(chunk: bytes) -> None:
        output.extend(chunk)

    report = await pool.run(what, payload=payload, sink=sink)
    return Ran(report, bytes(output))


async def run(
    pool: SandboxPool,
    source: str | bytes,
    payload: bytes = b"null",
    *,
    tenant: str = "t",
    **choices: int,
) -> Ran:
    return await run_job(pool, job(source, tenant=tenant, **choices), payload)
