"""`URL` and `URLSearchParams` pass the Web Platform Tests.

Their cases (`wpt/vendor`) are of 2022, from Debian's package of the crate `url`; `wpt.json` pins
them. What the URL Standard has changed since is named here.
"""

import json
from pathlib import Path
from typing import Final

import pytest

from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

WPT: Final = Path(__file__).with_name("wpt")

# Invalid Punycode in a domain of ASCII characters is no failure any more (2024), `^` is escaped in
# a path (2023).
CHANGED_URLS: Final = {
    *("http://a.b.c.xn--pokxncvks", "http://a.b.c.XN--pokxncvks", "http://a.b.c.Xn--pokxncvks"),
    *("http://10.0.0.xn--pokxncvks", "http://10.0.0.XN--pokxncvks", "http://10.0.0.xN--pokxncvks"),
    "file://xn--/p",
    "foo://host/ !\"$%&'()*+,-./:;<=>@[\\]^_`{|}~",
    "wss://host/ !\"$%&'()*+,-./:;<=>@[\\]^_`{|}~",
}
# A host name with a port is not taken (2023), nor does a path of a file lose its slashes (2022).
CHANGED_VALUES: Final = {
    *("example.com:8080", "example.com:", "\\\\", "//\\/", "//monkey/..//"),
    "\0\x01\t\n\r\x1f !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\x81Éé",
}

PARSE: Final = """
const PARTS = ['href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port',
               'pathname', 'search', 'hash']
function process(cases) {
  const wrong = []
  for (const expected of cases) {
    const { input, base, failure } = expected
    let url
    try { url = new URL(input, base ?? undefined) } catch (error) {
      if (!failure || !(error instanceof TypeError)) wrong.push([input, String(error)])
      continue
    }
    if (failure) { wrong.push([input, url.href]); continue }
    if (!URL.canParse(input, base ?? undefined)) wrong.push([input, 'canParse'])
    for (const part of PARTS)
      if (part in expected && url[part] !== expected[part]) wrong.push([input, part, url[part]])
  }
  return wrong
}"""
SET: Final = """
function process(cases) {
  const wrong = []
  for (const [part, { href, new_value, expected }] of cases) {
    const url = new URL(href)
    url[part] = new_value
    for (const name of Object.keys(expected))
      if (url[name] !== expected[name]) wrong.push([part, href, new_value, name, url[name]])
  }
  return wrong
}"""


async def test_urls_are_parsed_as_web_platform_tests_say(pool: SandboxPool) -> None:
    found = json.loads((WPT / "vendor" / "urltestdata.json").read_bytes())
    cases = [each for each in found if isinstance(each, dict)]
    cases = [each for each in cases if each["input"] not in CHANGED_URLS]

    ran = await run(pool, PARSE, json.dumps(cases).encode(), wall_ms=60_000)

    assert len(cases) > 600
    assert ran.value == []


async def test_parts_are_set_as_web_platform_tests_say(pool: SandboxPool) -> None:
    found = json.loads((WPT / "vendor" / "setters_tests.json").read_bytes())
    cases = [
        (part, each)
        for part, of_part in found.items()
        if part != "comment"
        for each in of_part
        if each["new_value"] not in CHANGED_VALUES
    ]

    ran = await run(pool, SET, json.dumps(cases).encode(), wall_ms=60_000)

    assert len(cases) > 150
    assert ran.value == []


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[...new URLSearchParams('?a=1&b=%20+&c=%E2%82%AC')].flat()", [*("a1b"), "  ", *"c€"]),
        ("String(new URLSearchParams({ a: 'ü', b: '&=+ ' }))", "a=%C3%BC&b=%26%3D%2B+"),
        ("String(new URLSearchParams([['z', 1], ['a', 2]]))", "z=1&a=2"),
        ("new URLSearchParams('a=1&a=2').getAll('a')", ["1", "2"]),
        ("(p => (p.sort(), p.toString()))(new URLSearchParams('c=1&a=2&b=3'))", "a=2&b=3&c=1"),
        ("new URLSearchParams('a=1&b=2').size", 2),
        (
            "(u => (u.searchParams.append('q', 'x y'), u.href))(new URL('https://a.example/?a=1'))",
            "https://a.example/?a=1&q=x+y",
        ),
        ("(u => (u.search = '?z=9', u.searchParams.get('z')))(new URL('https://a.example/'))", "9"),
        ("URL.parse('nonsense')", None),
        ("JSON.stringify({ u: new URL('HTTP://A.example:80') })", '{"u":"http://a.example/"}'),
        ("new URL('//ex%41mple/ü', 'ftp://x').href", "ftp://example/%C3%BC"),
        ("new URL('https://faß.example').host", "xn--fa-hia.example"),
        ("new URL('https://日本語.例え').host", "xn--wgv71a119e.xn--r8jz45g"),
    ],
)  # fmt: skip
async def test_url_works_in_a_script(pool: SandboxPool, expression: str, value: object) -> None:
    assert (await run(pool, f"const process = () => {expression}")).value == value


async def test_classes_are_as_webidl_has_them(pool: SandboxPool) -> None:
    source = """
    const refused = attempt => { try { attempt(); return false } catch (e) { return e instanceof TypeError } }
    const process = () => ({
      tags: [new URL('a:b'), new URLSearchParams()].map(it => Object.prototype.toString.call(it)),
      names: [URL.name, URLSearchParams.name, URL.length, URLSearchParams.length],
      brand: refused(() => Object.getOwnPropertyDescriptor(URL.prototype, 'href').get.call({})),
      construct: [refused(() => URL('a:b')), refused(() => new URL()), refused(() => new URL('x'))],
      keys: Object.keys(URL.prototype).includes('searchParams'),
      same: (u => u.searchParams === u.searchParams)(new URL('a:b')),
      subclass: new (class Mine extends URL { get x() { return this.host } })('http://h').x,
      global: (d => [typeof d.value, d.writable, d.enumerable, d.configurable])(
        (URL, Object.getOwnPropertyDescriptor(globalThis, 'URL'))),
    })"""  # noqa: E501 - one observation a line
    assert (await run(pool, source)).value == {
        "tags": ["[object URL]", "[object URLSearchParams]"],
        "names": ["URL", "URLSearchParams", 1, 0],
        "brand": True,
        "construct": [True, True, True],
        "keys": True,
        "same": True,
        "subclass": "h",
        "global": ["function", True, False, True],
    }
