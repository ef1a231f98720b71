"""Provide the workload of the benchmarks: the cards example, and data of any size for it."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from app.sandbox.outcomes import Job, Limits, Report, Succeeded
from app.sandbox.pool import SandboxPool

MIB: Final = 1024 * 1024
_CARDS: Final = Path(__file__).resolve().parents[2] / "examples" / "cards"
SOURCE: Final = (_CARDS / "script.js").read_bytes()
PAYLOAD: Final = (_CARDS / "payload.json").read_bytes()
TINY_SOURCE: Final = b"function process(data) { return data }"
_ROW: Final = (
    '{"trimestre":"2023%d","nomeBandeira":"%s","nomeFuncao":"Crédito","produto":"%s",'
    '"qtdCartoesEmitidos":%d,"qtdCartoesAtivos":%d,"qtdTransacoesNacionais":%d,'
    '"valorTransacoesNacionais":%d.25}'
)


class Ran(Struct, frozen=True):
    """A report and its output."""

    report: Report
    output: bytes


def new_job(source: bytes = SOURCE, *, tenant: str = "bench", memory_bytes: int = 512 * MIB) -> Job:
    """Create a job with limits that a well-behaved script does not reach."""
    limits = Limits(wall_ms=60_000, memory_bytes=memory_bytes, output_bytes=64 * MIB)
    return Job(tenant=tenant, source=source, seed=1, clock_ms=1_700_000_000_000, limits=limits)


async def run(pool: SandboxPool, job: Job, payload: bytes = PAYLOAD, *, fresh: bool = False) -> Ran:
    """Run a job and collect its output; `fresh` requires an unused cell."""
    output = bytearray()

    async def sink(chunk: bytes) -> None:
        output.extend(chunk)

    report = await pool.run(job, payload=payload, sink=sink, fresh=fresh)
    return Ran(report, bytes(output))


async def succeed(
    pool: SandboxPool, job: Job, payload: bytes = PAYLOAD, *, fresh: bool = False
) -> Ran:
    """Run a job that must succeed. Raises RuntimeError if it does not."""
    ran = await run(pool, job, payload, fresh=fresh)
    if not isinstance(ran.report.outcome, Succeeded):
        message = f"not a success: {ran.report.outcome}"
        raise RuntimeError(message)  # noqa: TRY004 - not an argument of a wrong type
    return ran


def cards_of(size_bytes: int) -> bytes:
    """Generate about `size_bytes` of rows for the cards script."""
    brands = ("VISA", "Mastercard", "American Express", "Elo", "Hipercard")
    products = ("Empresarial", "Intermediário", "Platinum")
    rows: list[bytes] = []
    length = 0
    while length < size_bytes:
        n = len(rows)
        numbers = (n % 9_973 + 1, n % 7_919, n * 31 % 1_000_003, n * 17 % 10_007)
        row = (_ROW % (n % 4 + 1, brands[n % 5], products[n % 3], *numbers)).encode()
        rows.append(row)
        length += len(row) + 1
    return b"[" + b",".join(rows) + b"]"
