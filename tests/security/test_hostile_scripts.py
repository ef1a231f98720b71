"""Every hostile script gets its verdict and affects no other run."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from _pytest.mark import ParameterSet

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import (
    InvalidResult,
    Job,
    LogLine,
    OutOfMemory,
    OutputTooLarge,
    ScriptError,
    Succeeded,
    Threw,
    TimedOut,
)
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.protocol import Isolation
from tests.security.corpus import KINDS, LIMITS, SCRIPTS, Hostile, read_corpus
from tests.support.sandbox_runs import Ran, run_job

CORPUS = read_corpus()
CLOCK_MS = 1_700_000_000_000

# A script that tells of its world: every name that can be reached, and what it is.
WITNESS = b"""
console.warn("seen", typeof left, Date.now(), Math.random())
function process(data) {
  const seen = new Map(), lines = []
  const walk = (value, path) => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) {
      lines.push(path + "=" + typeof value + ":" + String(value))
      return
    }
    if (seen.has(value)) return
    seen.set(value, path)
    lines.push(path + "=" + typeof value + (Object.isFrozen(value) ? "!" : ""))
    for (const key of Reflect.ownKeys(value)) {
      const found = Reflect.getOwnPropertyDescriptor(value, key)
      const flags = [found.writable, found.enumerable, found.configurable].map(Number).join("")
      const name = path + "." + String(key)
      lines.push(name + " " + flags)
      if (path === "" && key === "process") continue
      for (const part of ["value", "get", "set"]) if (part in found) walk(found[part], name)
    }
    walk(Reflect.getPrototypeOf(value), path + "^")
  }
  walk(globalThis, "")
  let hash = 0
  for (const line of lines)
    for (let i = 0; i < line.length; i++) hash = (Math.imul(hash, 31) + line.charCodeAt(i)) | 0
  const text = new Intl.NumberFormat("de").format(1234.5) + new Date(0).toISOString()
  return { data, lines: lines.length, hash, text, now: Date.now(), random: Math.random() }
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SandboxPool]:
    """Few contexts per cell, so that scripts meet first contexts and last ones."""
    async with open_pool(PoolConfig(cells=2, warm=2, contexts=4)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lonely_pool() -> AsyncIterator[SandboxPool]:
    """One execution for each process."""
    async with open_pool(PoolConfig(cells=2, warm=2, isolation=Isolation.PROCESS)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def innocent() -> Ran:
    """What the witness says where nothing hostile ever ran."""
    async with open_pool(PoolConfig(cells=1, warm=1)) as unspoilt:
        return await _witness(unspoilt, "first")


def _cases(hostiles: list[Hostile]) -> list[ParameterSet]:
    return [
        pytest.param(
            each,
            id=each.name,
            marks=[pytest.mark.xfail(reason=each.known, strict=True)] if each.known else [],
        )
        for each in hostiles
    ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("hostile", _cases(CORPUS))
async def test_a_hostile_script_gets_its_verdict_and_leaves_nothing(
    pool: SandboxPool, innocent: Ran, hostile: Hostile
) -> None:
    ran, beside = await asyncio.gather(_attack(pool, hostile), _witness(pool, "beside"))
    same_tenant = await _witness(pool, "hostile")
    other_tenant = await _witness(pool, "other")

    # First of all: whatever its verdict was, the others are as they would be without it.
    for witness in (beside, same_tenant, other_tenant):
        assert (witness.outcome, witness.output) == (innocent.outcome, innocent.output)
        assert (witness.logs, witness.report.lines_dropped) == (innocent.logs, 0)
    _assert_verdict(ran, hostile)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("hostile", _cases(CORPUS[::15]))
async def test_isolation_by_process_gives_the_same_verdict(
    lonely_pool: SandboxPool, hostile: Hostile
) -> None:
    _assert_verdict(await _attack(lonely_pool, hostile), hostile)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_witness_sees_its_globals(innocent: Ran) -> None:
    value = innocent.value
    assert isinstance(value, dict)
    assert value["data"] == {"a": [1, "é"]}
    assert value["lines"] > 4_000
    assert value["now"] == CLOCK_MS
    text = f"seen undefined {CLOCK_MS} 0.8028280335365205"
    assert innocent.logs == (LogLine(level="warn", text=text),)


def test_the_corpus_is_complete() -> None:
    families = Counter(hostile.family for hostile in CORPUS)
    kinds = {hostile.kind for hostile in CORPUS}
    sources = {hostile.source.partition(b"\n")[2] for hostile in CORPUS}

    assert len(CORPUS) == len(list(SCRIPTS.rglob("*.js"))) >= 150
    assert set(families) == {path.name for path in SCRIPTS.iterdir()}
    assert min(families.values()) >= 10
    # Bad input is no script's doing, nor is what schemas refuse; a crash is what no script may
    # cause.
    others = {"crashed", "invalid_input", "schema_mismatch", "unknown_schema"}
    assert kinds == set(KINDS) - others
    assert len({hostile.name.lower() for hostile in CORPUS}) == len(sources) == len(CORPUS)


async def _attack(pool: SandboxPool, hostile: Hostile) -> Ran:
    job = Job(
        tenant="hostile",
        source=hostile.source,
        seed=1,
        clock_ms=CLOCK_MS,
        limits=hostile.limits,
    )
    return await run_job(pool, job, hostile.payload)


async def _witness(pool: SandboxPool, tenant: str) -> Ran:
    job = Job(tenant=tenant, source=WITNESS, seed=7, clock_ms=CLOCK_MS, limits=LIMITS)
    return await run_job(pool, job, b'{"a":[1,"\xc3\xa9"]}')


def _assert_verdict(ran: Ran, hostile: Hostile) -> None:
    assert isinstance(ran.outcome, KINDS[hostile.kind]), ran.outcome
    limits = hostile.limits
    match ran.outcome:
        case Succeeded(output_bytes=output_bytes):
            assert (ran.output, len(ran.output)) == (hostile.output, output_bytes)
        case Threw(error=error):
            _assert_error(error, hostile)
        case TimedOut(limit_ms=limit):
            assert limit == limits.wall_ms
        case OutOfMemory(limit_bytes=limit):
            assert limit == limits.memory_bytes
        case OutputTooLarge(limit_bytes=limit):
            assert limit == limits.output_bytes
        case InvalidResult(message=message):
            assert (hostile.says or "") in message
    assert hostile.kind == "succeeded" or ran.output == b""
    assert hostile.console is None or ran.logs == hostile.console
    dropped = ran.report.lines_dropped
    assert dropped > 0 if hostile.dropped is None else dropped == hostile.dropped


def _assert_error(error: ScriptError, hostile: Hostile) -> None:
    if hostile.error is not None:
        assert hostile.error in (error.name, f"{error.name}: {error.message}")
    if hostile.place is not None:
        assert (error.line, error.column) == hostile.place
    # Wherever the error says it was made, it is in the source.
    assert error.line is None or error.line <= hostile.source.count(b"\n") + 1
