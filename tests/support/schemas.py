"""Schemas of tests."""

from tests.support.system import System


def put_schema(system: System, name: str, **schema: object) -> str:
    """Put the next version of a schema, and return its reference."""
    answer = system.client.put(f"/schemas/{name}", json={"schema": schema})
    assert answer.status_code == 201, answer.text
    return f"{name}@{answer.json()['latest_version']['version']}"
