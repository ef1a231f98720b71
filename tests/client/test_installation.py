"""The package is installed with pip, and brings its command and its types."""

import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

import crivo
from tests.support.servers import ROOT

PROJECT: Final = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, built without a network."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)),
            str(ROOT / "client"),
        ],
        check=True,
    )
    return folder


def _metadata(folder: Path) -> Distribution:
    [found] = distributions(path=[str(folder)])
    return found


def test_it_brings_the_command(installed: Path) -> None:
    done = subprocess.run(
        [installed / "bin" / "crivo", "--version"],
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == crivo.__version__


def test_it_brings_types_and_nothing_else(installed: Path) -> None:
    assert (installed / "crivo" / "py.typed").is_file()
    packages = {path.name for path in installed.iterdir()}
    assert packages == {"bin", "crivo", f"crivo-{crivo.__version__}.dist-info"}


def test_it_has_the_version_of_the_server(installed: Path) -> None:
    server = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert crivo.__version__ == server["version"] == _metadata(installed).version
    assert PROJECT["requires-python"] == server["requires-python"]


def test_the_tests_run_with_what_it_asks_for() -> None:
    present = {each.name.lower(): each.version for each in distributions()}

    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert requirement.specifier.contains(present[requirement.name])


def test_the_library_needs_nothing_of_the_command_line() -> None:
    code = "import sys, crivo; print({'cyclopts', 'crivo.cli'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "client" / "src")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "set()"
