"""Pipes over HTTP into datasets: what is forwarded, what is not, and what is shown of it."""

from typing import Any

import pytest

from tests.pipes.http_pipes import (
    JSON,
    ORDER,
    event,
    lines_of,
    pipe_when,
    put_dataset,
    put_pipe,
    put_schema,
    put_script,
    send,
    to_dataset,
)
from tests.support.system import System


@pytest.fixture
def dataset(system: System) -> str:
    return put_dataset(system)


def test_valid_events_are_forwarded_unchanged_and_in_order(system: System, dataset: str) -> None:
    schema = put_schema(system, ORDER)
    pipe = put_pipe(system, schema=schema, to=to_dataset(dataset))
    valid = [b'{ "n":1.0,"text":"\xc3\xa4\\u00e4" }', b'{"n": 2, "n": 3}', b"\t" + event(4)]
    sent = [valid[0], b'{"n":"no"}', valid[1], b"no json", b"", valid[2], b'{"n":1,"more":1}']

    answer = send(system, pipe, sent)

    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    row = accepted["first"].split(":")[1]
    assert accepted == {"accepted": 6, "first": f"http:{row}:1", "last": f"http:{row}:6"}
    shown = pipe_when(system, pipe, **{"in": 6})
    assert shown["counts"] == {"in": 6, "forwarded": 3, "refused": 3}
    assert (shown["state"], shown["trouble"], shown["lag"]["events"]) == ("running", None, 0)
    assert shown["dead_letters"] == 3
    assert shown["rates"]["in"] == pytest.approx(6 / 60, abs=0.001)
    assert lines_of(system, dataset) == valid


def test_a_script_makes_events_drops_them_and_fails_at_them(system: System, dataset: str) -> None:
    source = """
    function map(record, context) {
      if (record.n === 2) return null;
      if (record.n === 3) throw new RangeError("three");
      return { n: record.n, pipe: context.labels.pipe };
    }
    """
    pipe = put_pipe(system, script=put_script(system, source), to=to_dataset(dataset))

    send(system, pipe, [event(1), event(2), event(3), event(4)])

    assert pipe_when(system, pipe, **{"in": 4})["counts"] == {"in": 4, "forwarded": 2, "refused": 1}
    made = [f'{{"n":{n},"pipe":"{pipe}"}}'.encode() for n in (1, 4)]
    assert lines_of(system, dataset) == made


def test_poison_is_refused_alone(system: System, dataset: str) -> None:
    # Endless in the script, endless in a pattern, and memory without end.
    source = """
    function process(event) {
      if (event.n === 100) for (;;);
      if (event.n === 200) { const all = []; for (;;) all.push(new Array(1e6).fill(1)); }
      return event;
    }
    """
    limits = {"wall_ms": 300, "memory_bytes": 64 * 2**20}
    script = put_script(system, source, limits=limits)
    backtracks = {**ORDER, "properties": {**ORDER["properties"], "text": {"pattern": "^(a+)+$"}}}
    pipe = put_pipe(
        system, schema=put_schema(system, backtracks), script=script, to=to_dataset(dataset)
    )
    sent = [event(n, text="a") for n in range(400)]
    sent[300] = event(300, text="a" * 60 + "b")

    send(system, pipe, sent)

    shown = pipe_when(system, pipe, **{"in": 400})
    assert shown["counts"] == {"in": 400, "forwarded": 397, "refused": 3}
    rest = [each.replace(b" ", b"") for n, each in enumerate(sent) if n not in (100, 200, 300)]
    assert lines_of(system, dataset) == rest


def test_an_event_is_one_whatever_its_bytes(system: System, dataset: str) -> None:
    pipe = put_pipe(system, to=to_dataset(dataset))

    def post(body: bytes, **headers: str) -> dict[str, object]:
        answer = system.client.post(
            f"/pipes/{pipe}/events", content=body, headers={**JSON, **headers}
        )
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    first = post(b'{"n": 1}', **{"Crivo-Event-Id": "order-1"})
    # No record of a dataset: its bytes would have to change.
    post(b'{\n"n": 2\n}')

    assert first == {"accepted": 1, "first": "order-1", "last": "order-1"}
    shown = pipe_when(system, pipe, **{"in": 2})
    assert shown["counts"] == {"in": 2, "forwarded": 1, "refused": 1}
    assert lines_of(system, dataset) == [b'{"n": 1}']


def test_a_pipe_follows_the_snapshots_of_a_dataset(system: System, dataset: str) -> None:
    source = put_dataset(system)
    system.client.put(f"/datasets/{source}/files/a.jsonl", content=b'{"n":1}\n\n{"n":2}\n')
    definition: dict[str, Any] = {"from": {"dataset": {"dataset": source}}}
    pipe = put_pipe(system, **definition, to=to_dataset(dataset))
    pipe_when(system, pipe, **{"in": 2})

    system.client.put(f"/datasets/{source}/files/b.jsonl", content=b'{"n":3}')

    pipe_when(system, pipe, **{"in": 3, "forwarded": 3})
    assert lines_of(system, dataset) == [b'{"n":1}', b'{"n":2}', b'{"n":3}']


def test_a_pipe_stands_still_without_its_sink_and_goes_on_with_another(
    system: System, dataset: str
) -> None:
    gone = put_dataset(system)
    pipe = put_pipe(system, to=to_dataset(gone))
    system.client.delete(f"/datasets/{gone}")
    send(system, pipe, [event(1), event(2)])
    shown = pipe_when(system, pipe, state="troubled")
    assert gone in shown["trouble"]
    assert shown["lag"]["events"] == 2
    assert shown["lag"]["oldest_seconds"] >= 0

    put_pipe(system, pipe, to=to_dataset(dataset))

    shown = pipe_when(system, pipe, forwarded=2, state="running")
    assert shown["trouble"] is None
    assert lines_of(system, dataset) == [event(1), event(2)]
