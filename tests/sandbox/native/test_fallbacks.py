"""Executions give the same results without anything of app.sandbox.native."""

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import OutOfMemory, TimedOut
from app.sandbox.pool import open_pool
from app.settings import Settings
from tests.sandbox.native.engines import TURNED_OFF
from tests.support.sandbox_runs import MIB, run


async def test_a_pool_runs_without_native_parts() -> None:
    source = """async function process(n) {
      const down = n => n && 1 + down(n - 1)
      await new Promise(resolve => setTimeout(resolve, 10))
      return [down(n), new URL('http://ü.example/').host, btoa('a'), Math.random()]
    }"""
    results = []
    for native in (True, False):
        async with open_pool(PoolConfig(cells=1, warm=0, native=native)) as pool:
            assert (set(pool.native.values()) == {TURNED_OFF}) == (not native)
            assert (set(pool.native.values()) == {"on"}) == native
            results.append((await run(pool, source, b"20000")).value)
            # Slowly: without native parts V8 may abort silently, and then only the meter, which
            # looks every 10 ms, knows why.
            eats = """function process() {
              const a = []
              for (let n = 0; ; n++) if (n % 1e6 === 0) a.push(new Uint8Array(1e6))
            }"""
            ran = await run(pool, eats, memory_bytes=64 * MIB)
            assert isinstance(ran.outcome, OutOfMemory), ran.outcome
            ran = await run(pool, "function process() { for (;;); }", wall_ms=100)
            assert ran.outcome == TimedOut(limit_ms=100)

    assert results[0] == results[1]


def test_native_parts_are_used_by_default() -> None:
    assert Settings().native
    assert PoolConfig(cells=1, warm=0).native
