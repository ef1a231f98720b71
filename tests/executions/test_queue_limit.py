"""The queue of all tenants together has a limit."""

import httpx

from tests.support.system import System, until


def test_submissions_over_the_limit_are_refused_until_the_queue_shrinks(
    stopped_system: System,
) -> None:
    system = stopped_system
    system.environ["CRIVO_MAX_QUEUED"] = "3"
    system.start_api()
    system.await_api()
    system.upload("bounded", "const process = d => d")

    keyed = {"Idempotency-Key": "a"}
    first = system.client.post("/scripts/bounded/executions", content=b"1", headers=keyed)
    batch = _submit_batch(system)
    answers = [system.client.post("/scripts/bounded/executions", content=b"1") for _ in range(3)]
    again = system.client.post("/scripts/bounded/executions", content=b"1", headers=keyed)
    batch_again = _submit_batch(system)
    keyed["Idempotency-Key"] = "b"
    other = system.client.post("/scripts/bounded/executions", content=b"1", headers=keyed)

    assert [each.status_code for each in answers] == [202, 503, 503]
    assert answers[-1].json()["type"] == "urn:crivo:problem:queue-full"
    assert answers[-1].headers["Retry-After"] == "5"
    # A request that lost its answer finds what it has created.
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert batch.status_code == 202
    assert (batch_again.status_code, batch_again.json()["id"]) == (202, batch.json()["id"])
    assert other.status_code == 503
    # Within a second of a shorter queue, submissions are accepted again.
    system.start_worker()
    for _ in until("a submission is accepted again"):
        if system.client.post("/scripts/bounded/executions", content=b"1").status_code == 202:
            break


def _submit_batch(system: System) -> httpx.Response:
    headers = {"Idempotency-Key": "batch", "Content-Type": "application/x-ndjson"}
    return system.client.post("/batches?script=bounded", content=b"1\n", headers=headers)
