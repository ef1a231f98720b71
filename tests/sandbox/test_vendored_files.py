"""Vendored files of the sandbox and of its tests are those that their pins name."""

import hashlib
import json
from pathlib import Path
from typing import Final

import pytest

WEB: Final = Path(__file__).parents[2] / "app" / "sandbox" / "web"
WEB_PINS: Final = json.loads((WEB / "web.json").read_bytes())
LIBRARIES: Final = Path(__file__).with_name("libraries") / "vendor"
LIBRARY_PINS: Final = json.loads((LIBRARIES / "libraries.json").read_bytes())
WPT: Final = Path(__file__).with_name("wpt")
WPT_PINS: Final = json.loads((WPT / "wpt.json").read_bytes())


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("package", WEB_PINS["packages"])
def test_the_vendored_files_are_the_published_ones(package: str) -> None:
    pin = WEB_PINS["packages"][package]
    found = hashes(WEB / "vendor" / package)

    assert pin["integrity"].startswith("sha512-")
    assert found == pin["sha256"], "run scripts/vendor-web"
    assert any(name.startswith("LICENSE") for name in found)


def test_the_bundles_are_the_built_ones() -> None:
    assert hashes(WEB / "bundles") == WEB_PINS["bundles"], "run scripts/vendor-web"


@pytest.mark.parametrize("library", LIBRARY_PINS)
def test_vendored_libraries_match_their_pins(library: str) -> None:
    assert hashes(LIBRARIES / library) == LIBRARY_PINS[library]["sha256"]


def test_the_cases_of_web_platform_tests_match_their_pin() -> None:
    assert hashes(WPT / "vendor") == WPT_PINS["files"]
