"""The command line pushes and tests scripts with schemas, and sends data to checked datasets."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from crivo.cli.exit_codes import ExitCode
from crivo.sync.client import Crivo
from tests.support.crivo_command import CrivoCommand
from tests.support.schemas import put_schema
from tests.support.system import System

FLAGS = ("--input-schema", "--output-schema")


@pytest.fixture
def schema(system: System) -> str:
    number = {"type": "integer", "maximum": 8}
    return put_schema(system, f"n-{uuid4().hex[:8]}", type="object", properties={"n": number})


def test_scripts_are_pushed_and_tested_with_schemas(
    crivo: CrivoCommand, system: System, schema: str, tmp_path: Path
) -> None:
    script = tmp_path / f"double-{uuid4().hex[:8]}.js"
    script.write_text("function process(data) { return { n: data.n * 2 } }")
    flags = [text for flag in FLAGS for text in (flag, schema.partition("@")[0])]
    pushed = crivo("scripts", "push", script, *flags, "--json")
    version = json.loads(pushed.out)["latest_version"]
    assert (version["input_schema"], version["output_schema"]) == (schema, schema)
    again = crivo("scripts", "push", script, *flags, "--json")
    assert json.loads(again.out)["is_new"] is False
    with Crivo(system.url) as client:
        assert client.scripts.version(script.stem).output_schema == schema

    for name, data in (("good", {"n": 2}), ("text", {"n": "2", "x": 1}), ("large", {"n": 8})):
        (tmp_path / f"{name}.input.json").write_text(json.dumps(data))
        (tmp_path / f"{name}.expected.json").write_text(json.dumps({"n": 4}))
    tested = crivo("test", tmp_path, *flags)
    assert tested.code == ExitCode.FAILED
    assert tested.text.splitlines()[-1] == "1 passed, 2 failed"
    assert "text.input.json: error: /n: " in tested.err
    assert "[input_schema_mismatch]" in tested.err
    assert "text.input.json: error: /x: " in tested.err
    assert f"{script.name}: error: /n: " in tested.err
    assert "[output_schema_mismatch]" in tested.err

    local = crivo("test", tmp_path, "--local", *flags[:2])
    assert local.code == ExitCode.USAGE
    assert "--input-schema: schemas are the service's" in local.err


def test_lines_that_a_schema_refuses_are_named_in_their_files(
    crivo: CrivoCommand, system: System, schema: str, tmp_path: Path
) -> None:
    folder, name = tmp_path / "data", f"checked-{uuid4().hex[:8]}"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"n":1}\n{"n":9}\n{"n":"x","y":1}\n')
    (folder / "b.jsonl").write_text('{"n":9}\n' * 1_200)
    sent = crivo("send", folder, name, "--schema", schema)
    assert sent.code == ExitCode.FAILED, sent.err
    for place in ("a.jsonl:2: error: /n: ", "a.jsonl:3: error: /n: ", "a.jsonl:3: error: /y: "):
        assert place in sent.err
    assert "1,202 bad lines, of which 102 are named" in sent.err
    assert "bad lines    1202" in sent.text
    assert system.client.get(f"/datasets/{name}").json()["schema"] == schema

    (folder / "b.jsonl").unlink()
    (folder / "a.jsonl").write_text('{"n":1}\n')
    assert crivo("send", folder, name).code == 0
    other = crivo("send", folder, name, "--schema", "no-such-schema")
    assert other.code != 0
    assert "no-such-schema" in other.err
