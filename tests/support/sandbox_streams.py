"""Run a part of a run in a test's pool."""

import json
from collections.abc import AsyncIterable, Sequence

from msgspec import Struct

from app.sandbox.outcomes import Job
from app.sandbox.parts import Part, PartReport, RecordError
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import chunks_of


class Streamed(Struct, frozen=True):
    report: PartReport
    output: bytes
    errors: list[RecordError]

    @property
    def value(self) -> object:
        assert self.output, self.report
        return json.loads(self.output)


async def stream(
    pool: SandboxPool,
    what: Job,
    part: Part,
    chunks: bytes | AsyncIterable[bytes] = b"",
    *,
    states: Sequence[bytes] = (),
    fresh: bool = False,
) -> Streamed:
    output = bytearray()
    errors: list[RecordError] = []

    async def sink(chunk: bytes) -> None:
        output.extend(chunk)

    async def on_errors(failed: list[RecordError]) -> None:
        errors.extend(failed)

    report = await pool.stream(
        what,
        part,
        sink=sink,
        chunks=chunks_of(chunks) if isinstance(chunks, bytes) else chunks,
        states=states,
        on_errors=on_errors,
        fresh=fresh,
    )
    return Streamed(report, bytes(output), errors)
