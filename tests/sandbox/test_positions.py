"""Errors have the right line, column and excerpt, whatever else the source contains."""

import pytest

from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Diagnostic by V8's parser at once, and only when it has read the source to its end.
EARLY, LATE = "let ]", "let twice = 1; let twice = 2"
PLACES = {EARLY: (5, "let ]\n    ^"), LATE: (20, f"{LATE}\n{' ' * 19}^")}

BEFORE = {
    "nothing": "",
    "a name": "//# sourceURL=bundle.js\n",
    "a name of old": "//@ sourceURL=bundle.js\n",
    "an address": "//# sourceURL=https://host:80/a.js?b=1:2:3\n",
    "a name like a place": "//# sourceURL=a:5:\n",
    "a name of the engine": "//# sourceURL=undefined\n",
    "a name of the harness": "//# sourceURL=harness.js\n",
    "no name": "//# sourceURL=\n",
    "a long name": f"//# sourceURL={'x' * 5_000}\n",
    "a name beyond ASCII": "//# sourceURL=é\U0001f600\u0085漢\n",
    "a map": "//# sourceMappingURL=data:application/json;base64,e30=\n",
    "a name in a string": "'//# sourceURL=a.js';\n",
    "a name in a template": "`\n//# sourceURL=a.js\n`\n",
    "a name in a comment": "/*# sourceURL=a.js */\n",
    "a hashbang": "#!/usr/bin/env node\n",
    "a byte order mark": "\ufeff",
    "both": "\ufeff#!/usr/bin/env node\n",
    "CRLF": "let a;\r\n",
    "CR": "let a;\r",
    "a line separator": "let a;\u2028",
    "a paragraph separator in a string": "'\u2029';\n",
    "an HTML comment": "<!-- sourceURL=a.js\n--> sourceURL=b.js\n",
}


@pytest.mark.parametrize("error", PLACES)
@pytest.mark.parametrize("name", BEFORE)
async def test_a_syntax_error_has_its_position(pool: SandboxPool, name: str, error: str) -> None:
    before = BEFORE[name]
    lines = before.replace("\r\n", "\n")
    line = 1 + sum(lines.count(end) for end in "\n\r\u2028\u2029")
    column, excerpt = PLACES[error]

    (finding,) = await pool.check(f"{before}{error}\n".encode(), tenant="t")
    assert (finding.line, finding.column, finding.excerpt) == (line, column, excerpt)
    thrown = (await run(pool, f"{before}{error}\n")).error
    assert (thrown.line, thrown.column, thrown.excerpt) == (line, column, excerpt)


@pytest.mark.parametrize("name", BEFORE)
async def test_a_thrown_error_has_its_position(pool: SandboxPool, name: str) -> None:
    before = BEFORE[name]
    line = 1 + sum(before.replace("\r\n", "\n").count(end) for end in "\n\r\u2028\u2029")
    for source in ("throw new Error('x')", "const process = () => { throw new Error('x') }"):
        error = (await run(pool, f"{before}{source}\n//# sourceURL=a.js")).error
        assert (error.line, error.column) == (line, source.index("throw") + 1 + 6 * ("{" in source))


@pytest.mark.parametrize(
    ("source", "place", "excerpt"),
    [
        ("function process(d) {\r", (2, 1), "\n^"),
        ("function process(d) {\n", (2, 1), "\n^"),
        ("function process(d) {", (1, 22), "function process(d) {\n" + " " * 21 + "^"),
        ("let a\0", (1, 6), "let a\0\n     ^"),
        ("let a = JSON.parse('{')", (1, 14), "let a = JSON.parse('{')\n" + " " * 13 + "^"),
    ],
)
async def test_unusual_line_ends_keep_positions_right(
    pool: SandboxPool, source: str, place: tuple[int, int], excerpt: str
) -> None:
    (finding,) = await pool.check(source.encode(), tenant="t")
    assert (finding.line, finding.column) == place
    assert finding.excerpt == excerpt
    assert "\n" not in finding.message
