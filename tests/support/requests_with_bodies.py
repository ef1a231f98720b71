"""Requests with bodies, one for each operation and media type of the OpenAPI document."""

import json
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from app.auth.model import Scope
from tests.support.system import ROOT

PATHS: Final = json.loads((ROOT / "openapi" / "openapi.json").read_bytes())["paths"]
SOURCE: Final = "function process(data) { return data }"
FOLD: Final = (
    "const start = () => 0, step = (count, chunk) => count + chunk.length, finish = count => count"
)
NAME_PART: Final = '--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n'
FILE_PART: Final = (
    '--x\r\nContent-Disposition: form-data; name="file"; filename="a.js"\r\n\r\n'
    f"{SOURCE} // again\r\n--x--\r\n"
)
MULTIPART: Final = "multipart/form-data"
# The name that an upload carries, by operation.
UPLOADS: Final = {
    "createScript": "made-too-late",
    "checkScript": "",
    "addVersion": "",
    "putScript": "",
}
# An open upload, which tests insert.
UPLOAD: Final = "01900000-0000-7000-8000-00000000000a"
# The query that an operation needs, whatever its body.
QUERIES: Final = {"submitBatch": "?script=held"}
JSON: Final[dict[str, dict[str, Any] | list[Any]]] = {
    "createScript": {"name": "made-too-late", "source": SOURCE},
    "checkScript": {"source": SOURCE, "sample": 1},
    "addVersion": {"source": f"{SOURCE} // again"},
    "putScript": {"source": f"{SOURCE} // put"},
    "describeScript": {"description": "described too late"},
    "moveAlias": {"version": 2},
    "putSchema": {"schema": {"type": "object"}},
    "checkSchema": {"schema": {"type": "object"}},
    "describeSchema": {"description": "described too late"},
    "moveSchemaAlias": {"version": 1},
    "validateDocuments": {"any": "data"},
    "submitEnvelope": {"script": "held", "data": 1},
    "submitRaw": {"any": "data"},
    "submitBatch": [1, 2],
    "replayExecution": {"script": "held"},
    "createReplays": {"filter": {"script": "held"}},
    "createRedrive": {"filter": {"execution": {"script": "held"}}},
    "createComparison": {"from": 1, "to": 2},
    "createCallbackSecret": {"overlap_seconds": 60},
    "createTenant": {"name": "made-too-late"},
    "changeTenant": {"weight": 77},
    "createKey": {"scopes": ["admin"]},
    "putDataset": {"key": "/pk", "description": "described too late"},
    "putFile": {"pk": "stored too late"},
    "createUpload": {"mode": "append"},
    "putPart": {"pk": "stored too late"},
    "commitUpload": {"files": [{"path": "a", "parts": 1, "digest": "0" * 64}]},
    "findRecords": {"keys": ["a"]},
    "createRun": {"script": "folded", "dataset": "held"},
    "createExport": {"dataset": "held"},
    "putPipe": {"from": {"http": {}}, "to": {"dataset": {"dataset": "held"}}},
    "sendEvents": {"n": 1},
}


class Case(Struct, frozen=True):
    """An operation with a body of a media type."""

    name: str
    method: str
    path: str
    media_type: str
    scope: Scope
    body: bytes


def _cases() -> Iterator[Case]:
    for path, methods in PATHS.items():
        for method, operation in methods.items():
            for media_type in operation.get("requestBody", {"content": ()})["content"]:
                name = operation["operationId"]
                [[scope]] = [each["key"] for each in operation["security"]]
                where, body, query = _filled(path), json.dumps(JSON[name]), QUERIES.get(name, "")
                if media_type == "text/javascript":
                    query = f"?name={UPLOADS[name]}" if UPLOADS[name] else ""
                    body = f"{SOURCE} // again"
                elif media_type == "application/x-ndjson":
                    body = "1\n2\n"
                elif media_type == MULTIPART:
                    named = UPLOADS[name]
                    body = (f"{NAME_PART}{named}\r\n" if named else "") + FILE_PART
                yield Case(
                    name, method.upper(), where + query, media_type, Scope(scope), body.encode()
                )


def _filled(path: str) -> str:
    values = {
        "script": "held",
        "schema": "held",
        "alias": "prod",
        "name": "held-requests",
        "dataset": "held",
        "pipe": "held",
        "path": "a/parts/1",
        "upload": UPLOAD,
        "execution": "01900000-0000-7000-8000-000000000001",
    }
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path
    return path


CASES: Final = list(_cases())
