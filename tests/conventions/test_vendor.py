"""Vendored files are as their projects published them, and are marked as vendored."""

import hashlib
import subprocess
from typing import Final

import msgspec
import pytest

from tests.support.servers import ROOT

VENDOR: Final = ROOT / "app" / "docs" / "vendor"
FOLDER: Final = VENDOR / "swagger-ui"
PIN: Final = msgspec.json.decode((VENDOR / "swagger-ui.json").read_bytes())


def test_the_vendored_files_are_the_published_ones() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.iterdir()}

    assert found == PIN["sha256"], "run scripts/vendor-docs"


def test_their_package_is_pinned() -> None:
    assert PIN["version"][0].isdigit()
    assert PIN["integrity"].startswith("sha512-")


def test_their_licence_comes_with_them() -> None:
    assert "Apache License" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert (FOLDER / "NOTICE").exists()


@pytest.mark.parametrize(
    ("attribute", "value"), [("linguist-vendored", "set"), ("diff", "unset"), ("text", "unset")]
)
def test_git_knows_that_they_are_not_ours(attribute: str, value: str) -> None:
    path = "app/docs/vendor/swagger-ui/swagger-ui-bundle.js"
    command = ["git", "check-attr", attribute, "--", path]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert shown.strip() == f"{path}: {attribute}: {value}"
