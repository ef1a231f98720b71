"""Fixtures of the command line."""

from pathlib import Path

import pytest

from tests.support.crivo_command import CrivoCommand
from tests.support.system import System


@pytest.fixture
def crivo(system: System, tmp_path: Path) -> CrivoCommand:
    """The command line, with the system's URL in its environment."""
    home = tmp_path / "home"
    home.mkdir()
    return CrivoCommand(home, system.url)
