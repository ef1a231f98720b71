"""Read the OpenAPI document, in which operations share responses by references."""

from typing import Any


def with_responses(document: dict[str, Any]) -> dict[str, Any]:
    """Put the responses that a document refers to in the place of their references."""
    shared = document["components"]["responses"]
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"] = {
                status: shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each
                for status, each in operation["responses"].items()
            }
    return document
