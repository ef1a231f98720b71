"""The numbers of a tenant's schemas and versions are exact, however many requests come at once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from tests.support.system import System


def test_the_quotas_of_schemas_and_versions_are_exact(stopped_system: System) -> None:
    system = stopped_system
    system.environ |= {"CRIVO_MAX_SCHEMAS": "3", "CRIVO_MAX_SCHEMA_VERSIONS": "5"}
    system.start_api()
    system.await_api()

    def put(name: str, number: int) -> tuple[int, str | None]:
        answer = system.client.put(f"/schemas/{name}", json={"schema": {"const": number}})
        return answer.status_code, answer.json().get("quota")

    with ThreadPoolExecutor(6) as threads:
        names = [f"quota-{uuid4()}" for _ in range(6)]
        schemas = list(threads.map(lambda name: put(name, 0), names))
        made = [name for name, (status, _) in zip(names, schemas, strict=True) if status == 201]
        versions = list(threads.map(lambda n: put(made[n % 3], n), range(1, 7)))

    assert Counter(schemas) == {(201, None): 3, (429, "schemas"): 3}
    assert Counter(versions) == {(201, None): 2, (429, "schema-versions"): 4}
