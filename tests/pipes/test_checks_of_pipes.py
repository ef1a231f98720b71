"""Every schema that events meet on their way through a pipe decides about them."""

from uuid import uuid4

from tests.pipes.http_pipes import (
    ORDER,
    event,
    letters_of,
    lines_of,
    pipe_when,
    put_pipe,
    put_schema,
    put_script,
    send,
    to_dataset,
)
from tests.support.system import System

_SMALL = {"type": "object", "properties": {"n": {"maximum": 9}, "text": True}}


def _checked_dataset(system: System) -> str:
    name = f"sink-{uuid4()}"
    wanted = {"format": "jsonl", "schema": put_schema(system, _SMALL)}
    answer = system.client.put(f"/datasets/{name}", json=wanted)
    assert answer.status_code == 201, answer.text
    return name


def test_what_enters_a_dataset_fits_its_schema(system: System) -> None:
    dataset = _checked_dataset(system)
    script = put_script(system, "const map = ({ n }) => n === 3 ? null : { n: n + 1 };")
    plain = put_pipe(system, to=to_dataset(dataset))
    mapped = put_pipe(system, script=script, to=to_dataset(dataset))

    for pipe in (plain, mapped):
        send(system, pipe, [event(3), event(9), event(10), b'{ "n" : 1.0 }'])
    pipe_when(system, plain, **{"in": 4, "forwarded": 3, "refused": 1})
    pipe_when(system, mapped, **{"in": 4, "forwarded": 1, "refused": 2})

    kinds = {
        pipe: [each["error"]["kind"] for each in letters_of(system, pipe)]
        for pipe in (plain, mapped)
    }
    assert kinds == {plain: ["input_schema_mismatch"], mapped: ["output_schema_mismatch"] * 2}
    stored = [event(3), event(9), b'{ "n" : 1.0 }', b'{"n":2}']
    assert sorted(lines_of(system, dataset)) == sorted(stored)


def test_the_schemas_of_pipe_and_script_both_decide(system: System) -> None:
    named = put_schema(system, ORDER, name=f"kinds-{uuid4()}.order")
    prefix = named.removesuffix("order")
    script = put_script(
        system, "const process = (d) => d;", input_schema=put_schema(system, _SMALL)
    )
    target = to_dataset(_checked_dataset(system))
    exact = put_pipe(system, schema=named, script=script, to=target)
    chosen = put_pipe(system, schema={"by": ["/text"], "prefix": prefix}, script=script, to=target)

    for pipe in (exact, chosen):
        send(system, pipe, [event(n, text="order") for n in (1, 10)] + [b'{"text":"order"}'])
        pipe_when(system, pipe, **{"in": 3, "forwarded": 1, "refused": 2})
        kinds = {each["error"]["kind"] for each in letters_of(system, pipe)}
        assert kinds == {"input_schema_mismatch"}
