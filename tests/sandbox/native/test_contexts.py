"""Contexts that share an isolate leave each other nothing, and isolates replace them if need be."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.native.shared_isolate import PROTECTORS
from app.sandbox.outcomes import Succeeded, TimedOut
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.protocol import DEFAULT_ISOLATION, Isolation
from app.settings import Settings
from tests.sandbox.native.engines import MISSING, TURNED_OFF, evaluate, run_program
from tests.sandbox.native.test_snapshot import _WALK
from tests.sandbox.native.test_threadless import REPORTS, observe
from tests.support.processes import until
from tests.support.sandbox_runs import run

ECHO: Final = "const process = d => d"


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    """One cell at a time, none forked in advance."""
    async with open_pool(PoolConfig(cells=1, warm=0, isolation=Isolation.CONTEXT)) as opened:
        assert opened.isolation == "context"
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slowed_down() -> AsyncIterator[SandboxPool]:
    """A pool for scripts whose cell ends with them."""
    async with open_pool(PoolConfig(cells=1, warm=0, isolation=Isolation.CONTEXT)) as opened:
        yield opened


async def cells_at_rest(pool: SandboxPool) -> set[int]:
    """Return the cells that may run another job."""
    await until(lambda: not pool.cell_counts["being_born"] + pool.cell_counts["recovering"])
    return {each.cell.pid for each in pool._cells._resting}


def test_a_script_sees_the_same_world_and_the_same_errors() -> None:
    shared = evaluate(_WALK, *REPORTS, isolation=Isolation.CONTEXT)
    threaded = evaluate(_WALK, *REPORTS)

    assert shared.states["contexts"] == "on", "V8's functions or numbers have changed"
    assert (shared.kind, threaded.kind) == ("SharedContext", "ThreadedIsolate")
    assert shared.values == threaded.values


async def test_a_pool_observes_the_same_both_ways() -> None:
    seen = []
    for isolation in (Isolation.CONTEXT, Isolation.ISOLATE):
        async with open_pool(PoolConfig(cells=1, warm=0, isolation=isolation)) as pool:
            seen.append(await observe(pool))
            assert pool.isolation == isolation

    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("missing", "state"),
    [
        ("shared_isolate._READ_SPACE", MISSING),
        ("shared_isolate.SET_CALLBACK", MISSING),
        ("context_check._OBJECTS", "off: the self-check ended with status 127"),
        ("self_check.PARTS", "off: isolates have threads"),
    ],
)
def test_without_them_each_job_has_an_isolate(missing: str, state: str) -> None:
    evaluated = evaluate("`${6 * 7}`", isolation=Isolation.CONTEXT, missing=(missing,))

    assert evaluated.states["contexts"] == state
    with_thread = evaluated.states["threadless"] != "on"
    assert evaluated.kind == ("ThreadedIsolate" if with_thread else "ThreadlessIsolate")
    assert evaluated.values == ["42"]


def test_another_number_for_a_protector_is_noticed() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from app.sandbox import v8\n"
        "from app.sandbox.native import shared_isolate\n"
        "from app.sandbox.protocol import Isolation\n"
        "shared_isolate.PROTECTORS['NoElements'] -= 1\n"
        "engine = v8.Engine()\n"
        "engine.prepare(Isolation.CONTEXT, contexts=2, isolates=3)\n"
        "print(engine.native['contexts'], engine.isolation.value, engine.jobs, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    assert run_program(program) == "off: the self-check failed at: protectors isolate 3\n"


def test_the_same_isolation_is_the_default_everywhere() -> None:
    assert (
        Settings().sandbox_isolation == DEFAULT_ISOLATION == PoolConfig(cells=1, warm=0).isolation
    )


async def test_what_replaces_contexts_is_reported_with_its_reason() -> None:
    async with open_pool(PoolConfig(cells=1, warm=0, native=False)) as pool:
        assert (await run(pool, ECHO, b"1")).report.isolation == "isolate"
        reasons = f"contexts {TURNED_OFF}; threadless {TURNED_OFF}"
        assert pool.lockdown["isolation"] == f"isolate; {reasons}"


# What breaks each of V8's assumptions that a script can break; their use in V8's runtime differs.
SPOILERS: Final = {
    "ArrayBufferDetaching": "new ArrayBuffer(8).transfer()",
    "ArrayIteratorLookupChain": "Array.prototype[Symbol.iterator] = function* () {}",
    "ArraySpeciesLookupChain": "Object.defineProperty(Array, Symbol.species, { value: 1 })",
    "IsConcatSpreadableLookupChain": "Array.prototype[Symbol.isConcatSpreadable] = true",
    "MapIteratorLookupChain": "new Map().entries().__proto__.next = () => ({ done: true })",
    "NoElements": "Object.prototype[5] = 1",
    "NumberStringNotRegexpLike": "Number.prototype[Symbol.replace] = () => 1",
    "PromiseResolveLookupChain": "Promise.resolve = () => 1",
    "PromiseSpeciesLookupChain": "Promise.prototype.constructor = {}",
    "PromiseThenLookupChain": "Promise.prototype.then = function () {}",
    "RegExpSpeciesLookupChain": "RegExp.prototype.constructor = {}",
    "SetIteratorLookupChain": "Set.prototype[Symbol.iterator] = () => 1",
    "StringIteratorLookupChain": "String.prototype[Symbol.iterator] = () => 1",
    "StringLengthOverflowLookupChain": "try { 'x'.repeat(2 ** 29 - 25) + 'y'.repeat(99) } catch {}",
    "StringWrapperToPrimitive": "String.prototype.valueOf = () => 'x'",
    "TypedArraySpeciesLookupChain": "Uint8Array.prototype.constructor = {}",
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("protector", SPOILERS)
async def test_a_cell_ends_with_a_script_that_slows_down_others(
    slowed_down: SandboxPool, protector: str
) -> None:
    assert protector in PROTECTORS
    ran = await run(slowed_down, f"{SPOILERS[protector]}; {ECHO}")
    assert isinstance(ran.outcome, Succeeded)
    assert await cells_at_rest(slowed_down) == set()


async def test_a_cell_outlives_ordinary_changes_of_builtins(pool: SandboxPool) -> None:
    ordinary = (
        "Array.prototype.last = function () { return this.at(-1) }",
        "String.prototype.shout = function () { return this.toUpperCase() }",
        "Object.prototype.own = 1; Array.prototype.map = () => []",
        "class Rows extends Array {}; new Rows(1, 2, 3).map(x => x).concat([1])",
        "class Later extends Promise {}; Later.resolve(1).then(x => x)",
        "RegExp.prototype.exec = () => null; Object.freeze(Array.prototype)",
        "for (let i = 0; i < 1e4; i++) [3, 1, 2].toSorted()",
    )
    first = None
    for code in ordinary:
        assert isinstance((await run(pool, f"{code}; {ECHO}")).outcome, Succeeded), code
        first = first or await cells_at_rest(pool)
        assert await cells_at_rest(pool) == first != set(), code


_GARBAGE: Final = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from app.sandbox import v8
from app.sandbox.native.mini_racer import HeapExhausted
from app.sandbox.protocol import Isolation
engine = v8.Engine()
engine.prepare(Isolation.CONTEXT, contexts=4, isolates=1)
engine.start_watchdog(on_stuck=lambda: os._exit(1))
def run(objects, limit_mib, churn):
    isolate = engine.open_isolate(on_console_line=lambda: None)
    isolate.begin()
    isolate.limit_memory(limit_mib * 2**20)
    code = b"const all = []; for (let i = 0; i < %d; i++) all.push({ i })" % objects
    # Garbage, so that V8 collects it.
    code += b"; let last; for (let i = 0; i < %d; i++) last = [i, last?.[0]]" % churn
    try:
        isolate.evaluate(code)
    except HeapExhausted:
        print("exhausted")
    print("goes on" if isolate.close() else "ends")
# Each object takes 28 bytes, so that two runs leave more garbage than a cell may hold.
run(200_000, 256, 0)
run(200_000, 24, 3_000_000)
run(3_000_000, 16, 3_000_000)
sys.stdout.flush()
os._exit(0)
"""


def test_garbage_of_earlier_scripts_does_not_count_and_much_of_it_ends_the_cell() -> None:
    assert run_program(_GARBAGE).split("\n")[:-1] == ["goes on", "ends", "exhausted", "ends"]


async def test_what_a_script_left_does_not_run_in_the_time_of_the_next(pool: SandboxPool) -> None:
    leave = """
    const spread = () => { for (const o of [{}, []]) Object.getPrototypeOf(o).left = 1 }
    const process = () => {
      setTimeout(() => { console.log('late'); spread() }, 1)
      const later = async () => { await new Promise(r => setTimeout(r, 2)); console.log('later') }
      later()
      if (globalThis.FinalizationRegistry) throw new Error('V8 may call back later');
      /(l)(e)ft/.exec('left'); Symbol.for('left').description
      return [typeof WeakRef, typeof SharedArrayBuffer, typeof Atomics, typeof ShadowRealm]
    }"""
    look = """
    const process = () => [
      [].left, {}.left, RegExp.$1, RegExp.lastMatch, Error.stackTraceLimit, typeof later,
    ]"""
    first = await run(pool, leave)
    assert first.value == ["undefined"] * 4
    (cell,) = await cells_at_rest(pool)
    second = await run(pool, look)
    assert await cells_at_rest(pool) == {cell}
    unspoilt = await run(pool, look, tenant="another")
    assert (second.output, second.logs) == (unspoilt.output, ())


async def test_a_script_may_not_compile_after_one_that_loaded_web_apis(pool: SandboxPool) -> None:
    await run(pool, "const process = () => new URL('http://a/').host")
    (cell,) = await cells_at_rest(pool)
    ran = await run(pool, "const process = () => { try { eval('1') } catch (e) { return e.name } }")
    assert ran.value == "EvalError"
    assert await cells_at_rest(pool) == {cell}


async def test_a_time_limit_met_at_the_last_moment_does_not_end_the_next(
    pool: SandboxPool,
) -> None:
    busy = """const process = ms => {
      let sum = 0
      for (let i = 0; i < 4e4 * ms; i++) sum += i % 7
      return 1
    }"""
    outcomes = []
    for number in range(60):
        ran = await run(pool, busy, b"%d" % (number % 20), wall_ms=1 + number % 3)
        outcomes.append(type(ran.outcome))
        assert (await run(pool, ECHO, b"[1]")).output == b"[1]"
    assert set(outcomes) <= {Succeeded, TimedOut}
