"""Web APIs work as in other JavaScript hosts, and are deterministic."""

import base64
import hashlib
from pathlib import Path
from typing import Final

import msgspec
import pytest

from app.sandbox.outcomes import Succeeded
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT: Final = Path(__file__).parents[2]


async def _value(pool: SandboxPool, expression: str, payload: bytes = b"null") -> object:
    ran = await run(pool, f"const process = async data => {expression}", payload)
    assert isinstance(ran.outcome, Succeeded), ran.outcome
    return ran.value


async def _thrown(pool: SandboxPool, expression: str) -> str:
    attempt = f"(async () => {{ {expression} }})().then(() => 'nothing', e => e.name)"
    return str(await _value(pool, attempt))


# ---- encodings


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[...new TextEncoder().encode('a€😀\\ud800')]",
         [*"a€😀\N{REPLACEMENT CHARACTER}".encode()]),
        ("new TextEncoder().encodeInto('é€', new Uint8Array(4))", {"read": 1, "written": 2}),
        ("new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0xff]))", "a\ufffd"),
        ("new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array([239, 187, 191]))",
         "\ufeff"),
        ("new TextDecoder('UTF-16').decode(new Uint8Array([0x61, 0, 0x3d, 0xd8, 0, 0xde]))", "a😀"),
        ("new TextDecoder('utf-16be').decode(new Uint16Array([0x6100]))", "a"),
        ((
            "(d => [[226, 130], [172]].map(it => d.decode(new Uint8Array(it), { stream: true })))"
            "(new TextDecoder())"
        ), ["", "€"]),
        ("[' latin1 ', 'sjis', 'GB18030', 'x-cp1251'].map(it => new TextDecoder(it).encoding)",
         ["windows-1252", "shift_jis", "gb18030", "windows-1251"]),
        ("new TextDecoder('latin1').decode(new Uint8Array([0x80, 0xe9]))", "€é"),
        ("Object.prototype.toString.call(new TextDecoder()) + TextEncoder.name",
         "[object TextDecoder]TextEncoder"),
        ("(d => [d.encoding, d.fatal, d.ignoreBOM])(new TextDecoder('utf8', { fatal: true }))",
         ["utf-8", True, False]),
    ],
)  # fmt: skip
async def test_strings_are_encoded_and_decoded(
    pool: SandboxPool, expression: str, value: object
) -> None:
    assert await _value(pool, expression) == value


@pytest.mark.parametrize(
    ("attempt", "name"),
    [
        ("new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff]))", "TypeError"),
        ("new TextDecoder('nonsense')", "RangeError"),
        ("TextDecoder.prototype.decode.call({})", "TypeError"),
    ],
)
async def test_invalid_bytes_are_refused(pool: SandboxPool, attempt: str, name: str) -> None:
    assert await _thrown(pool, attempt) == name


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("shift_jis", "shift_jis", "日本語カナ"),
        ("euc-jp", "euc_jp", "日本語カナ"),
        ("iso-2022-jp", "iso2022_jp", "日本語"),
        ("gbk", "gbk", "汉字简体"),
        ("gb18030", "gb18030", "汉字😀ü"),
        ("big5", "big5", "漢字繁體"),
        ("euc-kr", "euc_kr", "한국어"),
        ("koi8-r", "koi8_r", "Привет"),
        ("windows-1251", "cp1251", "Привет"),
        ("windows-1250", "cp1250", "Zażółć"),
        ("iso-8859-7", "iso8859_7", "Καλημέρα"),
        ("iso-8859-15", "iso8859_15", "€ŠŽ"),
        ("ibm866", "cp866", "Привет"),
        ("macintosh", "mac_roman", "Ångström"),
    ],
)
async def test_legacy_encodings_match_pythons(
    pool: SandboxPool, label: str, codec: str, text: str
) -> None:
    payload = msgspec.json.encode([label, [*text.encode(codec)]])
    expression = "new TextDecoder(data[0]).decode(Uint8Array.from(data[1]))"
    assert await _value(pool, expression, payload) == text


# ---- base64: the cases of Web Platform Tests (html/webappapis/atob/base64.any.js)

REFUSED_BASE64: Final = (
    *(" ", "a", "ab=", "ab===", "abcd=", "abcd==", "abcd===", "abcde", "===="),
    *("=", "==", "===", "=a", "=aa", "=aaa", "a=", "a==", "a===", "a=a", "a=aa", "a=aaa"),
    *("aa===", "aa=a", "aaa==", "aaaa=", "aaaa=a", "aaaaa", "/A=", "//A==", "///A===", "A/=", "-_"),
    *("abcd\0nonsense", "ab\u000bcd", "ab\u00a0cd", "ab:c", "AA/", "\ufeffAAAA"),
)
BASE64: Final = {
    "": "",
    " abcd": "i·\x1d",
    "abcd": "i·\x1d",
    "ab": "i",
    "abc": "i·",
    "ab==": "i",
    "abc=": "i·",
    " ab c d \t\n\f\r": "i·\x1d",
    "ab\tcd": "i·\x1d",
    "//79": "ÿþý",
    "/A": "ü",
    "A/": "\x03",
    "nonsense": "\x9e\x89ìz{\x1e",
}


async def test_atob_accepts_forgiving_base64(pool: SandboxPool) -> None:
    payload = msgspec.json.encode([*BASE64])
    assert await _value(pool, "data.map(it => atob(it))", payload) == [*BASE64.values()]


async def test_atob_refuses_invalid_base64(pool: SandboxPool) -> None:
    refused = [each for each in REFUSED_BASE64 if each not in ("AA/", " ")]
    expression = """data.map(it => { try { return [it, atob(it)] } catch (e) {
      return e instanceof DOMException && e.name === 'InvalidCharacterError' && e.code === 5 } })"""
    found = await _value(pool, expression, msgspec.json.encode(refused))
    assert found == [True] * len(refused)
    given = "[atob(null), atob(12), atob(NaN), atob(-Infinity + '').length].length"
    assert await _thrown(pool, given) == "InvalidCharacterError"


async def test_btoa_matches_python(pool: SandboxPool) -> None:
    texts = ["", "a", "ab", "abc", "ÿ\0é", "".join(map(chr, range(256))), "undefined"]
    expected = [base64.b64encode(each.encode("latin-1")).decode() for each in texts]
    payload = msgspec.json.encode(texts)
    assert await _value(pool, "data.map(it => btoa(it))", payload) == expected
    assert await _thrown(pool, "btoa('€')") == "InvalidCharacterError"


# ---- structuredClone


CLONES: Final = """
const same = (a, b) => console.log(a, b)
const clone = structuredClone
const cycle = { list: [] }; cycle.self = cycle; cycle.list.push(cycle)
const buffer = new Uint8Array([1, 2, 3]).buffer
class Point { constructor() { this.x = 1 } get y() { return 2 } }
const error = new RangeError('bad', { cause: 'why' })
async function process() {
  const c = clone(cycle), e = clone(error), p = clone(new Point())
  const [one, two] = clone([buffer, new Uint16Array(buffer, 0, 1)])
  const map = clone(new Map([[1, new Set(['a'])], [{ k: 1 }, new Date(5)]]))
  return {
    cycle: [c !== cycle, c.self === c, c.list[0] === c],
    error: [e instanceof RangeError, e.name, e.message, e !== error],
    point: [p instanceof Point, p.x, 'y' in p, Object.getPrototypeOf(p) === Object.prototype],
    shared: [two.buffer === one, two[0], one !== buffer],
    map: [map instanceof Map, [...map.get(1)], [...map.keys()][1].k, +[...map.values()][1]],
    boxed: [clone(Object(1n)), clone(Object('s')), clone(Object(false))].map(it => typeof it),
    odd: [Object.is(clone(-0), -0), clone(NaN) !== clone(NaN), clone(undefined) === undefined,
          clone(10n) === 10n, clone(null), String(clone(/a+/gi)), clone(/a/y).lastIndex],
    holes: (a => [a.length, 1 in a, a.extra])(clone(Object.assign([1, , 3], { extra: 'e' }))),
    view: (v => [v instanceof DataView, v.byteLength, v.getUint8(0)])(
      clone(new DataView(buffer, 1))),
    transfer: (b => [clone(b, { transfer: [b] }).byteLength, b.byteLength, b.detached])(
      new ArrayBuffer(8)),
  }
}"""


async def test_structured_clone_copies_values(pool: SandboxPool) -> None:
    assert (await run(pool, CLONES)).value == {
        "cycle": [True, True, True],
        "error": [True, "RangeError", "bad", True],
        "point": [False, 1, False, True],
        "shared": [True, 513, True],
        "map": [True, ["a"], 1, 5],
        "boxed": ["object", "object", "object"],
        "odd": [True, True, True, True, None, "/a+/gi", 0],
        "holes": [3, False, "e"],
        "view": [True, 2, 2],
        "transfer": [8, 0, True],
    }


@pytest.mark.parametrize(
    "value", ["() => 1", "Symbol()", "new WeakMap()", "Promise.resolve()", "{ f() {} }"]
)
async def test_uncloneable_values_are_refused(pool: SandboxPool, value: str) -> None:
    assert await _thrown(pool, f"structuredClone({value})") == "DataCloneError"
    assert await _thrown(pool, "structuredClone()") == "TypeError"


# ---- crypto and performance


async def test_digests_match_pythons(pool: SandboxPool) -> None:
    data = bytes(range(256)) * 5
    expression = """Promise.all(['SHA-1', 'sha-256', { name: 'SHA-384' }, 'SHA-512'].map(async it =>
      new Uint8Array(await crypto.subtle.digest(it, Uint8Array.from(data))).toHex()))"""
    expected = [
        hashlib.new(name, data).hexdigest() for name in ("sha1", "sha256", "sha384", "sha512")
    ]
    assert await _value(pool, expression, msgspec.json.encode([*data])) == expected
    view = "await crypto.subtle.digest('SHA-1', new DataView(new ArrayBuffer(4), 1, 2))"
    assert (
        await _value(pool, f"new Uint8Array({view}).toHex()")
        == hashlib.sha1(b"\0\0", usedforsecurity=False).hexdigest()
    )


@pytest.mark.parametrize(
    ("attempt", "name"),
    [
        ("await crypto.subtle.digest('MD5', new Uint8Array())", "NotSupportedError"),
        ("await crypto.subtle.digest('constructor', new Uint8Array())", "NotSupportedError"),
        ("await crypto.subtle.digest('SHA-1', 'text')", "TypeError"),
        ("crypto.getRandomValues(new Float64Array(1))", "TypeMismatchError"),
        ("crypto.getRandomValues(new Uint8Array(65537))", "QuotaExceededError"),
        ("crypto.getRandomValues.call({}, new Uint8Array(1))", "TypeError"),
        ("Object.getOwnPropertyDescriptor(Crypto.prototype, 'subtle').get.call({})", "TypeError"),
        ("new Crypto()", "TypeError"),
        ("new Performance()", "TypeError"),
        ("new SubtleCrypto()", "TypeError"),
        ("performance.now.call({})", "TypeError"),
    ],
)
async def test_refused_calls_throw_the_specified_error(
    pool: SandboxPool, attempt: str, name: str
) -> None:
    assert await _thrown(pool, attempt) == name


async def test_random_values_follow_the_seed(pool: SandboxPool) -> None:
    source = """const process = () => [
      crypto.randomUUID(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint32Array(3))],
      [...crypto.getRandomValues(new Uint8Array(5).subarray(1, 4))], Math.random(),
    ]"""
    first, again, other = [(await run(pool, source, seed=seed)).value for seed in (7, 7, 8)]
    assert isinstance(first, list)
    assert first == again
    assert first != other
    one, two = first[:2]
    assert one != two
    assert len(one) == 36
    assert (one[14], one[19] in "89ab") == ("4", True)


async def test_a_debounce_like_lodashs_settles(pool: SandboxPool) -> None:
    lodash = (ROOT / "tests/sandbox/libraries/vendor/lodash/lodash.min.js").read_text()
    source = (
        lodash
        + """
    async function process() {
      let calls = 0
      const late = _.debounce(() => { calls++ }, 100)
      late(); late()
      await new Promise(done => setTimeout(done, 50))
      late()
      await new Promise(done => setTimeout(done, 500))
      return calls
    }"""
    )
    assert (await run(pool, source)).value == 1
