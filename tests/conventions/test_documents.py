"""What is generated from the code and kept in the repository is up to date."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from app.environment import variable_of
from app.limits import MIB
from app.settings import Settings
from tests.conventions.documents import DOCUMENTS, SETTINGS
from tests.servers import ROOT

# "`CRIVO_GRACE_SECONDS` (10)", and "10 s (`CRIVO_DEFAULT_WALL_MS`)".
_BEHIND: Final = re.compile(r"`(?P<name>CRIVO_[A-Z_]+)`[^`|()]{0,12}\((?P<number>\d[\d,]*)\)")
_BEFORE: Final = re.compile(r"(?P<number>\d[\d,]*) (?P<unit>s|MiB) \(`(?P<name>CRIVO_[A-Z_]+)`\)")
_UNITS: Final = {"s": 1_000, "MiB": MIB}


def test_every_setting_is_documented() -> None:
    _, _, rest = SETTINGS.read_text(encoding="utf-8").partition("<!-- settings -->\n")
    table, end, _ = rest.partition("<!-- /settings -->")

    assert end
    assert table == _printed_by("settings-table"), "run scripts/settings-table --write"


def test_the_openapi_document_is_the_api_s() -> None:
    written = (ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8")

    assert written == _printed_by("openapi"), "run scripts/openapi --write"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_defaults_that_a_document_names_are_those_of_the_settings(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    defaults = {variable_of(name): value for name, value in _defaults().items()}

    for found in (*_BEHIND.finditer(text), *_BEFORE.finditer(text)):
        parts = found.groupdict()
        number = int(parts["number"].replace(",", "")) * _UNITS.get(parts.get("unit", ""), 1)
        assert number == defaults[parts["name"]], found[0]


def _defaults() -> dict[str, object]:
    settings = Settings()
    return {name: getattr(settings, name) for name in Settings.__struct_fields__}


def _printed_by(script: str) -> str:
    return subprocess.run(
        [sys.executable, f"scripts/{script}"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout


def test_the_readme_is_the_first_ten_minutes() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 150


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")

    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()
