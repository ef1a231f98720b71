"""Every promise of docs/SECURITY.md names a test that holds it."""

import re
from typing import Final

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import open_pool
from tests.support.servers import ROOT

_TEST: Final = re.compile(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")
TEXT: Final = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")


def _rows(heading: str) -> list[list[str]]:
    _, separator, rest = TEXT.partition(f"\n## {heading}\n")
    assert separator
    section = rest.partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_promise_names_an_existing_test() -> None:
    rows = _rows("What is promised")
    assert len(rows) > 10
    for _, evidence in rows:
        tests = _TEST.findall(evidence)
        assert tests or evidence.startswith("the same test"), evidence
        for name, path in tests:
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


async def test_the_documented_v8_version_is_the_one_in_use() -> None:
    documented = re.search(r"([\d.]+) has V8 ([\d.]+)\. ", TEXT)
    pinned = re.search(r'"mini-racer==([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert documented is not None
    assert pinned is not None
    async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
        assert documented.groups() == (pinned[1], pool.v8_version)
