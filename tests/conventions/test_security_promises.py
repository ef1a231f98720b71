"""Every promise of docs/SECURITY.md names a test that holds it."""

import re
from typing import Final

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import open_pool
from tests.servers import ROOT

_TEST: Final = re.compile(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")
TEXT: Final = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")


def _rows(heading: str) -> list[list[str]]:
    _, found, rest = TEXT.partition(f"\n## {heading}\n")
    assert found
    section = rest.partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_promise_names_a_test_that_exists() -> None:
    rows = _rows("What is promised")
    assert len(rows) > 10
    for _, holders in rows:
        named = _TEST.findall(holders)
        assert named or holders.startswith("the same test"), holders
        for name, path in named:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), name


def test_every_measure_of_the_lockdown_is_explained() -> None:
    explained = {
        name for cells in _rows("The lockdown") for name in re.findall(r"`(\w+)`", cells[0])
    }
    source = (ROOT / "tests" / "security" / "test_lockdown.py").read_text(encoding="utf-8")
    _, _, rest = source.partition("assert set(lockdown) == {\n")
    measured = set(re.findall(r'"(\w+)"', rest.partition("}")[0]))
    assert measured
    assert explained == measured


async def test_the_v8_that_is_named_is_the_one_that_runs() -> None:
    named = re.search(r"([\d.]+) has V8 ([\d.]+)\. ", TEXT)
    pinned = re.search(r'"mini-racer==([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert named is not None
    assert pinned is not None
    async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
        assert named.groups() == (pinned[1], pool.v8_version)
