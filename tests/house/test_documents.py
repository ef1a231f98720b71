"""What is generated from the code and kept in the repository is up to date."""

import subprocess
import sys

from tests.servers import ROOT


def test_the_readme_lists_every_setting() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition("<!-- settings -->\n")
    table, end, _ = rest.partition("<!-- /settings -->")

    assert end
    assert table == _printed_by("settings-table"), "run scripts/settings-table --write"


def test_the_openapi_document_is_the_api_s() -> None:
    written = (ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8")

    assert written == _printed_by("openapi"), "run scripts/openapi --write"


def _printed_by(script: str) -> str:
    return subprocess.run(
        [sys.executable, f"scripts/{script}"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout
