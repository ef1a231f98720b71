"""For any JSON and many functions, the sandbox writes the bytes that Node writes."""

import asyncio
import base64
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings, strategies as st

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import Succeeded
from app.sandbox.pool import SandboxPool, open_pool
from tests.support.sandbox_runs import run

NODE: Final = shutil.which("node")
_MOST_OUTPUT: Final = 1 << 26

# Functions on which V8s of different years agree: no Unicode tables, no locales, no libm.
WALK: Final = """
const walk = (value, visit) => {
  if (Array.isArray(value)) return value.map((item) => walk(item, visit));
  if (typeof value !== "object" || value === null) return visit(value);
  const copy = {};
  for (const key of Object.keys(value)) {
    Object.defineProperty(copy, key, {
      value: walk(value[key], visit), writable: true, enumerable: true, configurable: true,
    });
  }
  return copy;
};
const list = (data) => (typeof data === "object" && data !== null ? Object.values(data) : [data]);
const on = (type, change) => (data) => walk(data, (it) => (typeof it === type ? change(it) : it));
const onTexts = (change) => on("string", change);
const onNumbers = (change) => on("number", change);
"""
FUNCTIONS: Final = {
    "identity": "(data) => data",
    "async identity": "async (data) => await data",
    "copy": "(data) => walk(data, (it) => it)",
    "text of it": "(data) => JSON.stringify(data, null, 2)",
    "there and back": "(data) => JSON.parse(JSON.stringify([data, { data }]))",
    "revived": "(data) => JSON.parse(JSON.stringify({ data }), (key, it) => it ?? key)",
    "wrapped": "(data) => ({ data, again: [data, data], size: list(data).length })",
    "spread": "(data) => ({ ...data, last: 1 })",
    "map": "(data) => list(data).map((it, at) => [at, typeof it, it])",
    "filter": "(data) => list(data).filter((it) => it !== null && typeof it !== 'boolean')",
    "flat": "(data) => [data, list(data)].flat(Infinity)",
    "group": """(data) => {
      const groups = Object.create(null);
      for (const it of list(data)) (groups[typeof it] ??= []).push(it);
      return groups;
    }""",
    "sort as texts": "(data) => list(data).map((it) => JSON.stringify(it)).sort()",
    # NaN has no order: what becomes of it differs between V8s.
    "sort as numbers": """(data) => list(data).map(Number).filter((it) => !Number.isNaN(it))
      .sort((a, b) => (a > b) - (a < b))""",
    "reverse": "(data) => list(data).reverse().concat(data)",
    "entries": "(data) => Object.entries(Object(data))",
    "entries and back": "(data) => Object.fromEntries(Object.entries(Object(data)).reverse())",
    "map and set": "(data) => [...new Map(list(data).map((it) => [String(typeof it), it]))]",
    "sum": "(data) => list(data).reduce((sum, it) => sum + (typeof it === 'number' ? it : 1), 0)",
    "texts reversed": "onTexts((it) => [...it].reverse().join(''))",
    "texts in units": "onTexts((it) => Array.from(it, (_, at) => it.charCodeAt(at)))",
    "texts in points": "onTexts((it) => [...it].map((char) => char.codePointAt(0)))",
    "texts cut": "onTexts((it) => [it.slice(1), it.slice(0, -1), it.at(-1), it.substring(2, 1)])",
    "texts padded": "onTexts((it) => it.padStart(7, it || '-').padEnd(9, '\\ud83d\\ude00'))",
    "texts split": "onTexts((it) => it.split(/[a-e0-4\\ud800-\\udbff]/))",
    "texts replaced": "onTexts((it) => it.replace(/(.)(.)/gsu, '$2$1$$').replaceAll('\"', '$&'))",
    "texts mended": "onTexts((it) => [it.isWellFormed(), it.toWellFormed()])",
    "texts quoted": "onTexts((it) => JSON.stringify(it))",
    "numbers as texts": "onNumbers((it) => [String(it), Object.is(it, -0), it.toString(2)])",
    "numbers in base 36": "onNumbers((it) => it.toString(36))",
    "numbers fixed": "onNumbers((it) => [it.toFixed(3), it.toExponential(5), it.toPrecision(17)])",
    "numbers rounded": "onNumbers((it) => [Math.round(it), Math.trunc(it), Math.floor(it)])",
    "numbers in 32 bits": "onNumbers((it) => [it | 0, it >>> 0, Math.fround(it), Math.clz32(it)])",
    "numbers divided": "onNumbers((it) => [it / 3, it * 1.1, it % 7, 1 / it, Math.sqrt(it)])",
    "numbers whole": "onNumbers((it) => Number.isInteger(it) ? BigInt(it).toString(16) : it)",
    "numbers as dates": "onNumbers((it) => new Date(it))",
    "numbers in arrays": "onNumbers((it) => [...new Float32Array([it]), ...new Uint8Array([it])])",
}  # fmt: skip

SERVER: Final = """
const make = (source) => (0, eval)(`(() => { ${source}; return process })()`);
let rest = "";
const functions = new Map();
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text) => {
  const lines = (rest + text).split("\\n");
  rest = lines.pop();
  for (const line of lines) {
    const { source, payload } = JSON.parse(line);
    if (!functions.has(source)) functions.set(source, make(source));
    Promise.resolve(functions.get(source)(JSON.parse(payload))).then((result) =>
      console.log(Buffer.from(JSON.stringify(result)).toString("base64")));
  }
});
"""

# ---- JSON as texts, since what is hard about JSON is in its texts

_BLANKS: Final = st.sampled_from(["", "", "", " ", "\n\t ", "\r"])
_NUMBERS: Final = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["-0", "9007199254740993", "1e400", "-1e-400", "5e-324", "2.5e-8", "1e21"]),
)
_PIECES: Final = st.one_of(
    st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters='"\\')),
    st.integers(0, 0xFFFF).map(lambda unit: f"\\u{unit:04x}"),
    st.integers(0xD800, 0xDFFF).map(lambda unit: f"\\u{unit:04X}"),
    st.sampled_from(['\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\u2028", "😀"]),
)
_TEXTS: Final = st.lists(_PIECES, max_size=6).map(lambda pieces: f'"{"".join(pieces)}"')
_KEYS: Final = st.one_of(
    st.sampled_from(
        ['"__proto__"', '"constructor"', '"toJSON"', '"then"', '"length"', '"a"', '"a"', '""',
         '"0"', '"10"', '"9"', '"-1"', '"4294967295"', '"\\u0061"'],
    ),
    _TEXTS,
)  # fmt: skip
_SCALARS: Final = st.one_of(st.sampled_from(["null", "true", "false"]), _NUMBERS, _TEXTS)


def _inside(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    spaced = st.tuples(_BLANKS, values, _BLANKS).map("".join)
    members = st.tuples(_KEYS, _BLANKS, spaced).map(
        lambda parts: f"{parts[0]}{parts[1]}:{parts[2]}"
    )
    return st.one_of(
        st.lists(spaced, max_size=5).map(lambda items: f"[{','.join(items)}]"),
        st.lists(members, max_size=5).map(lambda items: f"{{{','.join(items)}}}"),
        st.tuples(values, st.integers(1, 300)).map(
            lambda deep: "[" * deep[1] + deep[0] + "]" * deep[1]
        ),
    )


DOCUMENTS: Final = st.tuples(_BLANKS, st.recursive(_SCALARS, _inside, max_leaves=12), _BLANKS).map(
    "".join
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(NODE is None, reason="no node on PATH to compare with"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SandboxPool]:
    async with open_pool(PoolConfig(cells=1, warm=1)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Process]:
    """One Node for all examples: a line in, a line out."""
    server = await asyncio.create_subprocess_exec(
        str(NODE), "-e", SERVER, stdin=PIPE, stdout=PIPE, limit=_MOST_OUTPUT
    )
    try:
        yield server
    finally:
        server.kill()
        await server.communicate()


async def _in_node(server: Process, source: str, payload: str) -> bytes:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps({"source": source, "payload": payload}).encode() + b"\n")
    await server.stdin.drain()
    return base64.b64decode(await server.stdout.readline())


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=DOCUMENTS)
async def test_the_sandbox_writes_the_same_as_node(
    pool: SandboxPool, node: Process, name: str, document: str
) -> None:
    source = f"{WALK}; const process = {FUNCTIONS[name]}"
    expected = await _in_node(node, source, document)
    ran = await run(pool, source, document.encode())
    assert (ran.outcome, ran.output) == (Succeeded(output_bytes=len(expected)), expected)
