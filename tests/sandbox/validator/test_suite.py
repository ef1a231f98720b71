"""The official test suite passes in a cell: all required tests, and the optional ones but a few."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
import pytest

from app.sandbox.pool import SandboxPool
from tests.sandbox.validator.suites import DIALECTS, VENDOR, SuiteTest, read_groups, remotes
from tests.support.validator_runs import case, check

_IN_A_CELL: Final = pytest.mark.asyncio(loop_scope="module")

_FOLDER: Final = Path(__file__).parent
_PIN: Final = json.loads((_FOLDER / "suite.json").read_bytes())
_REQUIRED: Final = {"draft7": 913, "draft2020-12": 1257}


class Unsupported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reason, and the optional tests that fail for it."""

    reason: str
    tests: list[SuiteTest]


_UNSUPPORTED: Final = msgspec.json.decode(
    (_FOLDER / "unsupported.json").read_bytes(), type=list[Unsupported]
)


def test_the_vendored_suite_is_the_published_one() -> None:
    total = hashlib.sha256()
    files = {path.relative_to(VENDOR).as_posix(): path for path in VENDOR.rglob("*.*")}
    files["LICENSE"] = VENDOR / "LICENSE"
    for name in sorted(name for name, path in files.items() if path.is_file()):
        content = hashlib.sha256(files[name].read_bytes()).hexdigest()
        total.update(f"{content}  {name}\n".encode())

    assert total.hexdigest() == _PIN["files_sha256"], "run scripts/vendor-schema-tests"


async def _run(pool: SandboxPool, draft: str, folder: str) -> tuple[int, set[SuiteTest]]:
    """Return the number of tests, and those that failed."""
    groups = list(read_groups(draft, folder))
    options = {"dialect": DIALECTS[draft], "formats": "format/" in f"{folder}/"}
    cases = [case(group.schema, *group.documents, **options) for group in groups]
    results = await check(pool, cases, registry=remotes())
    failed: set[SuiteTest] = set()
    for group, result in zip(groups, results, strict=True):
        for index, (test, valid) in enumerate(group.expected):
            if "refused" in result or (result["errors"][index] == []) != valid:
                failed.add(test)
    return sum(len(group.expected) for group in groups), failed


@_IN_A_CELL
@pytest.mark.parametrize("draft", DIALECTS)
async def test_all_required_tests_pass(pool: SandboxPool, draft: str) -> None:
    count, failed = await _run(pool, draft, "")

    assert failed == set()
    assert count == _REQUIRED[draft]


@_IN_A_CELL
@pytest.mark.parametrize("folder", ["optional", "optional/format"])
@_IN_A_CELL
@pytest.mark.parametrize("draft", DIALECTS)
async def test_optional_tests_fail_only_for_a_known_reason(
    pool: SandboxPool, draft: str, folder: str
) -> None:
    _, failed = await _run(pool, draft, folder)
    tests = [test for known in _UNSUPPORTED for test in known.tests]
    explained = {test for test in tests if Path(test.file).parent.as_posix() == f"{draft}/{folder}"}

    assert failed == explained


def test_each_unsupported_test_is_explained_once() -> None:
    tests = Counter(test for known in _UNSUPPORTED for test in known.tests)

    assert all(known.reason for known in _UNSUPPORTED)
    assert [test for test, count in tests.items() if count > 1] == []
