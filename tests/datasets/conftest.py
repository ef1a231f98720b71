"""Fixtures: an empty dataset of the running system."""

from uuid import uuid4

import pytest

from tests.support.system import System


@pytest.fixture
def dataset(system: System) -> str:
    """Return the address of an empty dataset with the key /pk."""
    address = f"/datasets/scores-{uuid4()}"
    created = system.client.put(address, json={"key": "/pk"})
    assert created.status_code == 201, created.text
    return address
