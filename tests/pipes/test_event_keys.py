"""Idempotency keys of events: one pipe, one body, one way to read it."""

from uuid import uuid4

import pytest

from tests.pipes.http_pipes import (
    JSON,
    NDJSON,
    event,
    lines_of,
    pipe_when,
    put_dataset,
    put_pipe,
    to_dataset,
)
from tests.support.system import System


@pytest.fixture
def dataset(system: System) -> str:
    return put_dataset(system)


def test_events_are_stored_once_for_each_key(system: System, dataset: str) -> None:
    pipe = put_pipe(system, to=to_dataset(dataset))
    headers = {**NDJSON, "Idempotency-Key": str(uuid4())}
    first, again = (
        system.client.post(f"/pipes/{pipe}/events", content=event(1), headers=headers)
        for _ in range(2)
    )
    reused = system.client.post(f"/pipes/{pipe}/events", content=event(2), headers=headers)

    assert (first.status_code, again.status_code, reused.status_code) == (202, 202, 422)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    pipe_when(system, pipe, forwarded=1)
    assert lines_of(system, dataset) == [event(1)]


def test_a_key_stands_for_one_pipe_and_one_way_to_read_the_body(
    system: System, dataset: str
) -> None:
    pipe = put_pipe(system, to=to_dataset(dataset))
    system.client.post(f"/pipes/{pipe}/pause")
    key, body = {"Idempotency-Key": str(uuid4())}, b"1\n2\n"
    as_one, as_lines = (
        system.client.post(f"/pipes/{pipe}/events", content=body, headers={**form, **key})
        for form in (JSON, NDJSON)
    )
    assert system.client.delete(f"/pipes/{pipe}", params={"erase": "true"}).is_success
    put_pipe(system, pipe, to=to_dataset(dataset))

    to_the_new_one = system.client.post(
        f"/pipes/{pipe}/events", content=body, headers={**JSON, **key}
    )

    assert as_one.json()["accepted"] == 1
    for refused in (as_lines, to_the_new_one):
        assert refused.json()["type"] == "urn:crivo:problem:idempotency-key-reused", refused.text
