"""Scripts with recorded executions, and comparisons that have finished."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from tests.support.system import System

Json = Any


class Recorded:
    """A script of a test, whose executions are recorded."""

    def __init__(self, system: System, source: str) -> None:
        self.system = system
        self.name = f"compared-{uuid4()}"[:40]
        system.upload(self.name, source)

    def version(self, source: str) -> int:
        """Add a version."""
        answer = self.system.client.post(f"/scripts/{self.name}/versions", json={"source": source})
        assert answer.status_code == 201, answer.text
        number: int = answer.json()["version"]
        return number

    def run(self, inputs: Sequence[bytes]) -> list[Json]:
        """Run the newest version on each input, and return the finished executions."""
        locations = [self.system.submit(self.name, each) for each in inputs]
        return [self.system.finished(location) for location in locations]

    def post(self, before: int | str, after: int | str, **more: Json) -> Json:
        """Ask for a comparison."""
        headers = more.pop("headers", {})
        return self.system.client.post(
            f"/scripts/{self.name}/comparisons",
            json={"from": before, "to": after, **more},
            headers=headers,
        )

    def compare(self, before: int | str, after: int | str, **more: Json) -> Json:
        """Compare two versions, and wait for the end."""
        answer = self.post(before, after, **more)
        assert answer.status_code == 202, answer.text
        shown = self.system.client.get(f"{answer.headers['Location']}?wait=60").json()
        assert shown["state"] == "finished", shown
        return shown

    def promote(self, version: int, **more: Json) -> Json:
        """Make the alias `prod` name a version."""
        return self.system.client.put(
            f"/scripts/{self.name}/aliases/prod", json={"version": version, **more}
        )


@pytest.fixture
def record(system: System) -> Callable[[str], Recorded]:
    """Upload a script."""
    return lambda source: Recorded(system, source)
