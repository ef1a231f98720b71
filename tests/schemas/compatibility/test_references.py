"""References lead where the validator has them lead: by draft, and to what it has read."""

from typing import Any, Final

import pytest

from app.schemas.compatibility import compare
from app.schemas.document import SchemaDocument

_URI: Final = "crivo:/schemas/events@"
_OTHER: Final = "crivo:/schemas/types@1"
_SHARED: Final = "https://example.com/x"
_DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"


def _compare(old: Any, new: Any, **closure: Any) -> tuple[bool | None, bool | None]:  # noqa: ANN401
    others = {f"crivo:/schemas/{name}@1": schema for name, schema in closure.items()}
    # The closure comes first, as it does where a version is checked.
    documents = [
        SchemaDocument(f"{_URI}{n}", {**others, f"{_URI}{n}": schema}, ())
        for n, schema in ((1, old), (2, new))
    ]
    verdict = compare(*documents)
    return verdict.backward, verdict.forward


def test_a_document_that_nothing_leads_to_names_nothing() -> None:
    def schema(kind: str) -> dict[str, Any]:
        return {
            "properties": {"a": {"$ref": _SHARED}},
            "$defs": {"x": {"$id": _SHARED, "type": kind}, "unused": {"$ref": _OTHER}},
        }

    other = {"$defs": {"x": {"$id": _SHARED, "type": "null"}}}

    assert _compare(schema("string"), schema("boolean"), types=other) == (False, False)


def test_identifiers_count_where_the_draft_has_schemas_only() -> None:
    def schema(kind: str) -> dict[str, Any]:
        return {
            "$schema": _DRAFT_7,
            "$defs": {"a": {"$id": "#a", "type": "null"}},
            "definitions": {"a": {"$id": "#a", "type": kind}},
            "properties": {"a": {"$ref": "#a"}},
        }

    assert _compare(schema("string"), schema("boolean")) == (False, False)


@pytest.mark.parametrize("pointer", ["#/$defs/%ff", "#/$defs/%zz"])
def test_a_broken_escape_of_a_pointer_is_a_text(pointer: str) -> None:
    def schema(kind: str) -> dict[str, Any]:
        name = pointer.rpartition("/")[2]
        return {
            "properties": {"a": {"$ref": pointer}},
            "$defs": {"\ufffd": {"type": "null"}, name: {"type": kind}},
        }

    assert _compare(schema("string"), schema("boolean")) == (False, False)


@pytest.mark.parametrize("index", ["\u0660", "00", "9" * 5_000])
def test_an_index_is_written_in_one_way(index: str) -> None:
    assert _compare({"$ref": f"#/x/{index}", "x": [{"type": "string"}]}, {}) == (None, None)
