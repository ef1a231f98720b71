"""References of a document are found with their pointers, in memory that its size bounds."""

import json
import tracemalloc

from app.schemas.references import find_references


def test_references_are_found_with_their_pointers() -> None:
    document = b'{"a":{"$ref":"crivo:/schemas/x@1"},"b~/":[1,{"$ref":"crivo:/schemas/y@2#/q"}]}'
    assert [(each.pointer, each.name, each.version) for each in find_references(document)] == [
        ("/a/$ref", "x", 1),
        ("/b~0~1/1/$ref", "y", 2),
    ]


def test_what_stands_in_data_is_no_reference() -> None:
    def to(name: str) -> dict[str, str]:
        return {"$ref": f"crivo:/schemas/{name}@1"}

    document = {
        **{keyword: [to("data")] for keyword in ("enum", "examples")},
        **{keyword: to("data") for keyword in ("const", "default")},
        "properties": {"enum": to("a"), "$ref": to("b"), "x": {"enum": [to("data")]}},
        "x-own": {"default": to("c")},
        "anyOf": [{"const": to("data"), "items": to("d")}],
    }

    found = find_references(json.dumps(document).encode())

    assert [each.name for each in found] == ["a", "b", "c", "d"]


def test_long_names_around_many_values_take_little_memory() -> None:
    values = [1] * 50_000 + [{"$ref": f"crivo:/schemas/x{each}@1"} for each in range(5_000)]
    document = json.dumps({"x-a": [{"k" * 300_000: values}]}).encode()
    tracemalloc.start()
    try:
        found = find_references(document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 5_000
    assert peak < 64 * len(document)
