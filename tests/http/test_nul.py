"""PostgreSQL has no NUL in its texts; an address that has one names nothing."""

import re
from typing import Any
from urllib.parse import quote

from tests.support.system_with_keys import SystemWithKeys

_METHODS = {"get", "put", "post", "patch", "delete"}


def test_no_address_with_a_nul_is_an_error_of_the_server(
    keyed: SystemWithKeys, filled: dict[str, str]
) -> None:
    paths: dict[str, dict[str, Any]] = keyed.get("/openapi.json").json()["paths"]
    # What only foreign ids reach is found without them.
    known = {"callback": filled["execution"], "disabled": filled["execution"], **filled}
    asked = 0
    for path, methods in paths.items():
        for method in _METHODS & methods.keys():
            body = None if method in ("get", "delete") else b"{}"
            for name in re.findall(r"\{(\w+)\}", path):
                for text in ("%00", "a%00b"):
                    address = path.format(**{**known, name: text})
                    answer = keyed.request(method.upper(), address, content=body)
                    assert 400 <= answer.status_code < 500, (method, address, answer.text)
                    asked += 1
    assert asked


def test_no_query_with_a_nul_is_an_error_of_the_server(
    keyed: SystemWithKeys, filled: dict[str, str]
) -> None:
    paths: dict[str, dict[str, Any]] = keyed.get("/openapi.json").json()["paths"]
    known = {"callback": filled["execution"], "disabled": filled["execution"], **filled}
    for path, methods in paths.items():
        for each in methods.get("get", {}).get("parameters", ()):
            if each["in"] != "query":
                continue
            for text in ("\0", "a\0b"):
                address = f"{path.format(**known)}?{each['name']}={quote(text)}"
                answer = keyed.get(address)
                assert answer.status_code < 500, (address, answer.text)
