"""The library and the command line put, compare and check by schemas."""

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import pytest

from crivo import AsyncCrivo, Conflict, Crivo, SchemaRejected
from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.system import System

_FIRST = {"type": "object", "properties": {"n": {"type": "integer"}}}
_SECOND = {**_FIRST, "required": ["n"]}
_LINES = b'{"n":1}\n' * 150_000 + b'{"n":"x"}\n{"n":2}\n[]\n'


@pytest.fixture
def name() -> str:
    return f"client-{uuid4().hex[:8]}"


def test_the_library_puts_schemas_and_validates_by_them(client: Crivo, name: str) -> None:
    pushed = client.schemas.push(name, json.dumps(_FIRST), note="first", compatibility="backward")
    again = client.schemas.push(name, json.dumps(_FIRST))
    alias = client.schemas.promote(name, "prod")
    with pytest.raises(Conflict, match="backward compatible with version 1"):
        client.schemas.push(name, json.dumps(_SECOND))
    with pytest.raises(SchemaRejected) as rejected:
        client.schemas.push(name, b'{"type":"text"}')
    client.schemas.demand(name, "none")
    second = client.schemas.push(name, json.dumps(_SECOND))

    assert (pushed.is_new, again.is_new, second.reference) == (True, False, f"{name}@2")
    assert (alias.version, rejected.value.problem.errors is not None) == (1, True)
    verdict = client.schemas.diff(f"{name}@1", f"{name}@2").verdict
    assert verdict == second.version.verdict
    assert verdict is not None
    assert (verdict.backward, verdict.forward) == (False, True)
    assert client.schemas.document(f"{name}@prod") == json.dumps(_FIRST).encode()
    assert [each.version for each in client.schemas.versions(name)] == [2, 1]
    assert client.schemas.validate(name, {"n": 1}).valid
    assert client.schemas.validate(name, {"n": "x"}, excerpts=True).errors[0].value == '"x"'
    lines = list(client.schemas.validate_lines(name, _LINES))
    assert [(each.line, each.valid) for each in lines] == [(150_001, False), (150_003, False)]
    assert client.schemas.archive(name).archived_at is not None


def test_a_file_is_compared_as_strictly_as_the_version(
    client: Crivo, crivo: CrivoCommand, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "same.json"
    file.write_text(json.dumps(_FIRST))
    client.schemas.push(name, file, strict=False)

    verdict = client.schemas.diff(f"{name}@1", file).verdict
    assert verdict is not None
    assert (verdict.backward, verdict.forward) == (True, True)
    client.schemas.push(name, file, strict=True)
    for version in (1, 2):
        compared = crivo("schemas", "diff", f"{name}@{version}", "--file", file)
        assert compared.text.splitlines()[0] == "backward yes, forward yes"


def test_the_asynchronous_library_validates_lines(system: System, name: str) -> None:
    async def validate() -> list[int | None]:
        async with AsyncCrivo(system.url) as client:
            await client.schemas.push(name, json.dumps(_FIRST))
            return [each.line async for each in client.schemas.validate_lines(name, _LINES)]

    assert asyncio.run(validate()) == [150_001, 150_003]


def test_the_command_line_pushes_checks_and_compares(
    crivo: CrivoCommand, tmp_path: Path, name: str
) -> None:
    schema = tmp_path / f"{name}.schema.json"
    schema.write_text(json.dumps(_FIRST))
    assert crivo("schemas", "push", schema, "--promote", "prod").text.startswith(
        f"{name}@1  new, now prod"
    )
    assert crivo("schemas", "push", schema).text.startswith(f"{name}@1  unchanged")
    schema.write_text(json.dumps(_SECOND))
    compared = crivo("schemas", "diff", f"{name}@prod", "--file", schema)
    assert compared.text.splitlines()[0] == "backward no, forward yes"
    assert crivo("schemas", "push", schema).text.strip().endswith("backward no, forward yes")
    schema.write_text('{"properties":{"n":{"type":"text"}}}')
    refused = crivo("schemas", "push", schema)
    assert (refused.code, "error: /properties/n/type: " in refused.err) == (ExitCode.FAILED, True)

    good, bad = tmp_path / "good.json", tmp_path / "bad.jsonl"
    good.write_text('{"n":1}')
    bad.write_text('{"n":1}\n\n{"n":"x"}\nnonsense\n')
    checked = crivo("schemas", "check", f"{name}@prod", good, bad)
    assert checked.code == ExitCode.FAILED
    first, second = checked.text.splitlines()
    assert first.startswith(f"{bad}:3: /n: ")
    assert second.startswith(f"{bad}:4: ")
    assert crivo("schemas", "check", name, good).code == ExitCode.OK
    assert f"{name}\t2\t" in crivo("schemas", "list").text
    shown = crivo("schemas", "show", name).text.splitlines()
    assert [line.split("\t")[:2] for line in shown] == [["2", ""], ["1", "prod"]]
    assert json.loads(crivo("schemas", "show", f"{name}@1").text) == _FIRST
    assert crivo("schemas", "promote", name).text == f"{name}@prod is version 2\n"
    assert crivo("schemas", "archive", name).text == f"{name} is archived\n"
    assert crivo("schemas", "promote", f"{name}@1").code == ExitCode.REFUSED
    assert crivo("schemas", "restore", name).text == f"{name} is restored\n"
    assert crivo("schemas", "promote", f"{name}@1", "test").text == f"{name}@test is version 1\n"
