"""Lint generated texts: no text fails, and every finding points into the source."""

from hypothesis import given, strategies as st

from app.lint.linter import MAX_FINDINGS, lint
from app.lint.names import SANDBOX_NAMES
from app.lint.positions import Positions
from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import open_pool
from tests.support.sandbox_runs import run

_WORDS = (
    "function process class => ( ) { } [ ] , ; . ... = * async await let const var typeof "
    "new import export require('x') eval return throw try catch with for of in if ` ${ "
    "'a' /* // globalThis arguments x fetch \\u0061 #! / @"
)
TOKENS = st.sampled_from(
    [
        *_WORDS.split(),
        *("\r\n", "\n", "\t", "\u2028", "\U0001f600", "\ufeff", "\0"),
    ]
)
SOURCES = st.lists(TOKENS, max_size=40).map(" ".join) | st.text(max_size=60)


@given(SOURCES)
def test_any_text_can_be_linted_and_findings_point_into_it(source: str) -> None:
    report = lint(source.encode("utf-8", "surrogatepass"))

    lines = source.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    texts = lines.replace("\u2029", "\n").split("\n")
    assert len(report.findings) <= MAX_FINDINGS
    for finding in report.findings:
        text = texts[finding.position.line - 1]
        units = len(text.encode("utf-16-le", "surrogatepass")) // 2
        assert 1 <= finding.position.column <= units + 1


@given(st.text(st.characters(exclude_categories=["Cs"])), st.data())
def test_the_caret_is_under_the_position(source: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(source)))
    position = Positions(source.encode()).at(len(source[:offset].encode()))

    shown, caret = position.excerpt.split("\n")
    assert caret.endswith("^")
    assert set(caret[:-1]) <= {" ", "\t"}
    ahead = source[offset : offset + 1]
    if ahead and ahead not in "\r\n\u2028\u2029":
        assert shown[len(caret) - 1] == ahead


async def test_sandbox_names_are_the_globals_of_a_cell() -> None:
    source = (
        "const process = _ => [globalThis, Object.prototype].flatMap(Object.getOwnPropertyNames)"
    )
    async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
        names = (await run(pool, source)).value

    assert isinstance(names, list)
    assert set(names) == SANDBOX_NAMES


def test_deep_nesting_can_be_linted() -> None:
    for source in ("[" * 100_000 + "]" * 100_000, "{" * 100_000 + "fetch(1)" + "}" * 100_000):
        codes = [finding.code for finding in lint(source.encode()).findings]
        assert codes[0] == "no_process"


def test_lint_positions_ignore_a_byte_order_mark() -> None:
    places = [each.position for each in lint("\ufefffetch(1); process.env".encode()).findings]
    assert [(place.line, place.column) for place in places[:2]] == [(1, 1), (1, 1)]
    assert places[0].excerpt == "fetch(1); process.env\n^"
