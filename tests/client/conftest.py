"""Fixtures of the client's tests: the command line, clients, and a script that returns its data."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from crivo import Crivo
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import FaultyServer, faulty_server
from tests.support.system import System


@pytest.fixture
def crivo(system: System, tmp_path: Path) -> CrivoCommand:
    """The command line, with the system's URL in its environment."""
    home = tmp_path / "home"
    home.mkdir()
    return CrivoCommand(home, system.url)


@pytest.fixture
def client(system: System) -> Iterator[Crivo]:
    """The library."""
    with Crivo(system.url) as client:
        yield client


@pytest.fixture
def faulty(system: System) -> Iterator[FaultyServer]:
    """The system behind a server that can be made to fail."""
    with faulty_server(system.url) as server:
        yield server


@pytest.fixture
def echo(system: System) -> str:
    """Return the name of a script that returns its data."""
    name = f"echo-{uuid4().hex[:8]}"
    system.upload(name, "function process(data) { return data }")
    return name
