"""Read the vendored JSON-Schema-Test-Suite."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

VENDOR: Final = Path(__file__).parent / "vendor"
DIALECTS: Final = {
    "draft7": "http://json-schema.org/draft-07/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
_REMOTES: Final = "http://localhost:1234/"


class SuiteTest(Struct, frozen=True, order=True):
    """A test of the suite by its name, so that two runs can be compared."""

    file: str
    group: str
    test: str


class Group(Struct, frozen=True):
    """A schema of the suite, its documents, and for each its name and whether it is valid."""

    schema: object
    documents: list[object]
    expected: list[tuple[SuiteTest, bool]]


def read_groups(draft: str, folder: str) -> Iterator[Group]:
    """Yield the groups of a folder's files, without those of its subfolders."""
    root = VENDOR / "tests" / draft
    for path in sorted((root / folder).glob("*.json")):
        for group in json.loads(path.read_bytes()):
            yield Group(
                schema=group["schema"],
                documents=[test["data"] for test in group["tests"]],
                expected=[
                    (
                        SuiteTest(
                            file=path.relative_to(VENDOR / "tests").as_posix(),
                            group=group["description"],
                            test=test["description"],
                        ),
                        test["valid"],
                    )
                    for test in group["tests"]
                ],
            )


def remotes() -> dict[str, Any]:
    """Return the schemas that the suite expects at a server, by their URIs."""
    folder = VENDOR / "remotes"
    return {
        _REMOTES + path.relative_to(folder).as_posix(): json.loads(path.read_bytes())
        for path in sorted(folder.rglob("*.json"))
    }
