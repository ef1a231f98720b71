"""Generated documents are up to date, and documents agree with the settings."""

import re
import subprocess
import sys
from typing import Final

from app.environment import variable_of
from app.limits import MIB
from app.settings import Settings
from tests.conventions.documents import DOCUMENTS, SETTINGS
from tests.support.servers import ROOT

_DOCS: Final = ROOT / "docs"
_ARCHITECTURE: Final = _DOCS / "ARCHITECTURE.md"

# "`CRIVO_GRACE_SECONDS` (10)", and "10 s (`CRIVO_DEFAULT_WALL_MS`)".
_NAME_FIRST: Final = re.compile(r"`(?P<name>CRIVO_[A-Z_]+)`[^`|()]{0,12}\((?P<number>\d[\d,]*)\)")
_VALUE_FIRST: Final = re.compile(
    r"(?P<number>\d[\d,]*) (?P<unit>s|MiB) \(`(?P<name>CRIVO_[A-Z_]+)`\)"
)
_UNITS: Final = {"s": 1_000, "MiB": MIB}


def test_every_setting_is_documented() -> None:
    _, _, rest = SETTINGS.read_text(encoding="utf-8").partition("<!-- settings -->\n")
    table, end, _ = rest.partition("<!-- /settings -->")

    assert end
    assert table == _output_of("settings-table"), "run scripts/settings-table --write"


def test_the_openapi_document_is_up_to_date() -> None:
    written = (ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8")

    assert written == _output_of("openapi"), "run scripts/openapi --write"


def test_defaults_in_documents_match_the_settings() -> None:
    defaults = {variable_of(name): value for name, value in _defaults().items()}

    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for match in (*_NAME_FIRST.finditer(text), *_VALUE_FIRST.finditer(text)):
            parts = match.groupdict()
            number = int(parts["number"].replace(",", "")) * _UNITS.get(parts.get("unit", ""), 1)
            assert number == defaults[parts["name"]], (document, match[0])


def _defaults() -> dict[str, object]:
    settings = Settings()
    return {name: getattr(settings, name) for name in Settings.__struct_fields__}


def _output_of(script: str) -> str:
    return subprocess.run(
        [sys.executable, f"scripts/{script}"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout


def test_the_readme_stays_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 150


def test_the_architecture_is_read_in_ten_minutes() -> None:
    assert len(_ARCHITECTURE.read_text(encoding="utf-8").split()) <= 1_800


def test_the_index_links_every_page() -> None:
    index = (_DOCS / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in _DOCS.glob("*.md")} - {"README.md"}

    assert {page for page in pages if f"]({page})" not in index} == set()


def test_the_architecture_links_every_design_page() -> None:
    architecture = _ARCHITECTURE.read_text(encoding="utf-8")
    pages = {f"design/{path.name}" for path in (_DOCS / "design").glob("*.md")}

    assert pages
    assert {page for page in pages if f"]({page})" not in architecture} == set()
