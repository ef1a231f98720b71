"""Web APIs are defined at first use and change nothing else of a script's globals."""

from typing import Final

import pytest

from app.sandbox.outcomes import InvalidResult, OutOfMemory, Succeeded, Threw, TimedOut
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import MIB, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES: Final = (
    *("URL", "URLSearchParams", "TextEncoder", "TextDecoder", "DOMException", "structuredClone"),
    *("atob", "btoa", "crypto", "Crypto", "SubtleCrypto", "performance", "Performance"),
    *("setTimeout", "clearTimeout", "setInterval", "clearInterval", "queueMicrotask"),
)


async def test_a_script_may_declare_the_same_names(pool: SandboxPool) -> None:
    for name in NAMES:
        for own in (f"var {name} = 5", f"const {name} = 5", f"globalThis.{name} = 5",
                    f"delete globalThis.{name}; globalThis.{name} = 5"):  # fmt: skip
            ran = await run(
                pool, f"{own}\nconst process = () => [{name}, typeof globalThis.{name}]"
            )
            assert isinstance(ran.value, list), own
            assert ran.value[0] == 5, own
        ran = await run(pool, f"function {name}() {{ return 6 }}\nconst process = () => {name}()")
        assert ran.value == 6
        ran = await run(pool, f"delete globalThis.{name}\nconst process = () => typeof {name}")
        assert ran.value == "undefined"


async def test_code_from_strings_stays_off(pool: SandboxPool) -> None:
    attempts = "[() => eval('1'), () => Function('return 1')(), () => setTimeout('1')]"
    expression = f"""(() => {{
      const refused = () => {attempts}.map(
        it => {{ try {{ it(); return false }} catch {{ return true }} }})
      const seen = [refused()]
      new URL('http://a.example'); seen.push(refused()); btoa('x'); structuredClone(1)
      new TextDecoder(); seen.push(refused())
      return seen.flat()
    }})()"""
    assert (await run(pool, f"const process = () => {expression}")).value == [True] * 9


# Where the stack has ended, each level on the way back asks for a name that is not made yet.
DEPTHS: Final = """
const make = Object.getOwnPropertyDescriptor(globalThis, 'URL').get
let made = false, tried = 0, allowed = 0
const attempt = () => { try { make(); made = true } catch {} }
const at = (wanted, rest) => {
  let level = 0
  const deep = () => {
    try { deep() } catch {}
    level++
    if (level === wanted) try { attempt.apply(null, rest) } catch {}
  }
  try { deep() } catch {}
}
function process() {
  for (let wanted = 1; !made && wanted < 4000; wanted += wanted < 60 ? 7 : 1) {
    at(wanted, new Array(wanted * 5 % 32).fill(0))
    console.log(tried++)
    try { eval('1'); allowed++ } catch {}
  }
  return [made, allowed, tried]
}"""


async def test_a_stack_overflow_during_a_first_use_changes_nothing(
    pool: SandboxPool,
) -> None:
    ran = await run(pool, DEPTHS, wall_ms=60_000, console_lines=10_000, console_bytes=MIB)
    assert isinstance(ran.value, list), ran.outcome
    made, allowed, tried = ran.value
    assert (made, allowed) == (True, 0)
    assert [line.text for line in ran.logs] == [str(n) for n in range(tried)]


async def test_a_stack_overflow_leaves_code_from_strings_off(pool: SandboxPool) -> None:
    source = """
    const used = []
    function deep(n) { try { deep(n + 1) } catch { used.push(n); typeof URL; throw 1 } }
    function process() {
      try { deep(0) } catch {}
      let allowed = 0
      try { eval('1'); allowed = 1 } catch {}
      return [allowed, new URL('http://a.example').host]
    }"""
    assert (await run(pool, source)).value == [0, "a.example"]


POISON: Final = """
const evil = () => { throw new Error('poisoned') }
const own = Reflect.ownKeys, define = Object.defineProperty
const typed = Object.getPrototypeOf(Uint8Array.prototype)
const holders = [Array.prototype, String.prototype, Object.prototype, Function.prototype,
                 Map.prototype, RegExp.prototype, WeakMap.prototype, Promise.prototype, JSON,
                 Reflect, Uint8Array.prototype, typed, ArrayBuffer.prototype, Error.prototype]
for (let i = 0; i < holders.length; i++) {
  const names = own(holders[i])
  for (let j = 0; j < names.length; j++)
    if (names[j] !== 'constructor' && names[j] !== 'then' && names[j] !== 'toJSON')
      try { define(holders[i], names[j], { value: evil, configurable: true }) } catch {}
}
define(Object.prototype, 0, { set: evil, get: evil, configurable: true })
"""


@pytest.mark.parametrize(
    "use",
    [
        "new URL('http://a.example')", "new TextDecoder()", "structuredClone([1])", "atob('YQ==')",
        "crypto.randomUUID()", "crypto.getRandomValues(new Uint8Array(2))", "performance.now()",
        "crypto.subtle.digest('SHA-1', new Uint8Array(2))", "setTimeout(evil, 1)",
        "console.table([{ a: 1 }])", "console.log('%o %d', new Map([[1, 2]]), 1)",
        "console.count(); console.assert(false, 'x'); console.group('g'); console.timeEnd('t')",
    ],
)  # fmt: skip
async def test_poisoned_globals_change_no_verdict(pool: SandboxPool, use: str) -> None:
    # What a poisoned world does to a library is its script's own; the harness stands.
    source = f"{POISON}\nfunction process() {{ try {{ {use} }} catch {{}} return 3 }}"
    ran = await run(pool, source)
    assert (ran.outcome, ran.output) == (Succeeded(output_bytes=1), b"3"), use
    thrower = await run(pool, f"{POISON}\nfunction process() {{ {use}; null.x }}")
    assert isinstance(thrower.outcome, Threw)
    result = await run(pool, f"{POISON}\nfunction process() {{ try {{ {use} }} catch {{}} }}")
    assert isinstance(result.outcome, InvalidResult)


async def test_web_apis_work_with_poisoned_globals(pool: SandboxPool) -> None:
    source = f"""{POISON}
    function process() {{
      console.log('%s is %d', 'x', 4); console.log(new Map([[1, {{ a: 2 }}]]))
      return crypto.randomUUID().length + performance.now()
    }}"""
    ran = await run(pool, source.replace("new Map([[1, { a: 2 }]])", "[{ a: 2 }]"))
    assert ran.output == b"36", ran.outcome
    assert [line.text for line in ran.logs] == ["x is 4", '[{"a":2}]']


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        ("const f = () => setTimeout(f, 0); f(); return new Promise(() => {})", TimedOut),
        ("const f = () => queueMicrotask(f); f(); return new Promise(() => {})", TimedOut),
        ("for (;;) setTimeout(() => {}, 1)", OutOfMemory),
        ("const a = []; for (;;) a.push(structuredClone(new Uint8Array(1e6)))", OutOfMemory),
    ],
)
async def test_limits_hold(pool: SandboxPool, body: str, ends: type[object]) -> None:
    wall_ms = 300 if ends is TimedOut else 30_000
    ran = await run(
        pool, f"function process() {{ {body} }}", wall_ms=wall_ms, memory_bytes=96 * MIB
    )
    assert isinstance(ran.outcome, ends), ran.outcome
