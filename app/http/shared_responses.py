"""Share equal responses of the OpenAPI document: most problems are those of many operations."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

RESPONSE_REFS: Final = "#/components/responses/"
# One that a single operation has stays in it.
_MIN_USES: Final = 2


def share_responses(paths: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Replace responses that several operations have by references; return them by name.

    A name is the status and, from the second response of a status on, a number: `404`, `404.2`.
    """
    uses = Counter(_text(each) for _, _, each in _responses(paths))
    names: dict[str, str] = {}
    of_status: Counter[str] = Counter()
    shared: dict[str, Any] = {}
    for responses, status, response in list(_responses(paths)):
        text = _text(response)
        if uses[text] < _MIN_USES:
            continue
        if text not in names:
            of_status[status] += 1
            number = of_status[status]
            names[text] = status if number == 1 else f"{status}.{number}"
            shared[names[text]] = response
        responses[status] = {"$ref": f"{RESPONSE_REFS}{names[text]}"}
    return shared


def _responses(
    paths: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for operations in paths.values():
        for operation in operations.values():
            responses = operation["responses"]
            for status, response in responses.items():
                yield responses, status, response


def _text(response: dict[str, Any]) -> str:
    return json.dumps(response, sort_keys=True, default=repr)
