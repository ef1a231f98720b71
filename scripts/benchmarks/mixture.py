"""Define the mixture of a soak: mostly the cards script, and some of every kind of failure."""

import random
from typing import Final

from msgspec import Struct

from app.sandbox.outcomes import Job, Limits
from scripts.benchmarks.workload import MIB, PAYLOAD, SOURCE


class Case(Struct, frozen=True, kw_only=True):
    """A script and the tag of its expected outcome; `weight` is its share per thousand."""

    name: str
    expected: str
    source: bytes
    weight: int
    payload: bytes = b"null"
    wall_ms: int = 10_000
    memory_bytes: int = 256 * MIB
    output_bytes: int = MIB


CARDS: Final = Case(name="cards", expected="succeeded", source=SOURCE, payload=PAYLOAD, weight=870)


def _process(body: str) -> bytes:
    return f"function process(data) {{ {body} }}".encode()


CASES: Final = (
    CARDS,
    Case(name="throw", expected="threw", weight=30, source=_process("throw new Error('no')")),
    Case(
        name="endless", expected="timed_out", weight=15, wall_ms=50, source=_process("for (;;) {}")
    ),
    Case(
        # V8 does not check for termination in it, so the pool has to kill the cell.
        name="stuck",
        expected="timed_out",
        weight=2,
        wall_ms=50,
        source=_process("return Array.prototype.includes.call({length: 2 ** 53 - 1}, 1)"),
    ),
    Case(
        name="heap",
        expected="out_of_memory",
        weight=6,
        memory_bytes=64 * MIB,
        source=_process("const all = []; for (;;) all.push({a: [1, 2, 3], b: {}})"),
    ),
    Case(
        name="off-heap",
        expected="out_of_memory",
        weight=6,
        memory_bytes=64 * MIB,
        source=_process("const all = []; for (;;) all.push(new Uint8Array(8e6).fill(1))"),
    ),
    Case(
        name="output",
        expected="output_too_large",
        weight=20,
        output_bytes=1_000,
        source=_process("return 'x'.repeat(1e6)"),
    ),
    Case(
        name="console",
        expected="succeeded",
        weight=20,
        source=_process("for (let i = 0; i < 3000; i++) console.log('line', i); return 1"),
    ),
    Case(name="bad-input", expected="invalid_input", weight=11, payload=b"{", source=SOURCE),
    Case(
        name="pending",
        expected="unsettled_promise",
        weight=10,
        source=_process("return new Promise(() => {})"),
    ),
    Case(name="deep", expected="threw", weight=10, source=_process("return process(data)")),
)
_WEIGHTS: Final = [case.weight for case in CASES]


def draw(rng: random.Random) -> Case:
    """Draw a case at random by weight."""
    return rng.choices(CASES, _WEIGHTS)[0]


def job_of(case: Case, *, tenant: str) -> Job:
    """Create the job of a case."""
    limits = Limits(
        wall_ms=case.wall_ms, memory_bytes=case.memory_bytes, output_bytes=case.output_bytes
    )
    return Job(tenant=tenant, source=case.source, seed=1, clock_ms=0, limits=limits)
