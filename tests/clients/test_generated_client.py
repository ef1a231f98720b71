"""A client that openapi-python-client makes of the document does the whole use case."""

import importlib
import io
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.acceptance.keyed import Keyed
from tests.acceptance.system import CARDS, ROOT

PACKAGE: Final = "crivo_client"
SOURCE: Final = "function process(rows) { console.log(rows.length); return rows.length }"


class Generated:
    """The generated package, found by name: nothing of it is there when types are checked."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - as generated
        self.models: Any = importlib.import_module(f"{PACKAGE}.models")
        self.types: Any = importlib.import_module(f"{PACKAGE}.types")
        self._client = client

    def call(self, operation: str, *path: str, **what: Any) -> Any:  # noqa: ANN401 - as generated
        """Call an operation, named by its tag and itself; give its answer, parsed."""
        return self.detailed(operation, *path, **what).parsed

    def detailed(self, operation: str, *path: str, **what: Any) -> Any:  # noqa: ANN401 - as generated
        module = importlib.import_module(f"{PACKAGE}.api.{operation}")
        return module.sync_detailed(*path, client=self._client, **what)


@contextmanager
def made_client(keyed: Keyed, headers: dict[str, str]) -> Iterator[Generated]:
    package: Any = importlib.import_module(PACKAGE)
    with package.AuthenticatedClient(
        base_url=keyed.system.url,
        token=keyed.admin_key,
        headers=headers,
        timeout=60,
        raise_on_unexpected_status=True,
    ) as client:
        yield Generated(client)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package, generated now; its name is gone with the module."""
    folder = tmp_path_factory.mktemp("generated")
    # What it would run by itself is a formatter.
    (folder / "config.json").write_text(json.dumps({"post_hooks": []}))
    made = subprocess.run(
        [
            sys.executable,
            *("-m", "openapi_python_client", "generate", "--meta", "none"),
            *("--path", str(ROOT / "openapi" / "openapi.json")),
            *("--output-path", str(folder / PACKAGE)),
            *("--config", str(folder / "config.json")),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    (folder / "complaints.txt").write_text(made.stderr + made.stdout)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [each for each in sys.modules if each.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture(params=["*/*", "application/json"])
def client(keyed: Keyed, package: Path, request: pytest.FixtureRequest) -> Iterator[Generated]:
    """A client as generated, and one with the header that other generators' send."""
    assert package.is_dir()
    with made_client(keyed, {"Accept": request.param}) as client:
        yield client


def test_the_generator_understands_all_of_the_document(package: Path) -> None:
    complaints = (package / "complaints.txt").read_text().splitlines()
    # A raw form that it has no words for; the same operations take JSON and a form.
    warned = {line for line in complaints if "nsupported" in line}
    document = json.loads((ROOT / "openapi" / "openapi.json").read_bytes())
    operations = [each for methods in document["paths"].values() for each in methods.values()]

    assert warned == {"Unsupported content type text/javascript"}
    assert sum("WARNING" in line or "ERROR" in line for line in complaints) == sum(
        "text/javascript" in each.get("requestBody", {}).get("content", {}) for each in operations
    )
    modules = [
        importlib.import_module(name)
        for _, name, _ in pkgutil.walk_packages([str(package / PACKAGE)], f"{PACKAGE}.")
    ]
    assert sum(hasattr(each, "sync_detailed") for each in modules) == len(operations)


def test_it_does_the_whole_use_case(client: Generated) -> None:
    name = f"generated-{uuid4().hex[:8]}"
    models = client.models

    checked = client.call("scripts.check_script", body=models.CheckScript(source=SOURCE))
    assert isinstance(checked, models.Accepted)
    limits = models.LimitChoice(wall_ms=2_000)
    created = client.detailed(
        "scripts.create_script",
        body=models.CreateScript(name=name, source=SOURCE, limits=limits, description="counts"),
    )
    assert created.status_code == 201
    assert created.parsed.name == name
    file = client.types.File(
        payload=io.BytesIO((CARDS / "script.js").read_bytes()),
        file_name="script.js",
        mime_type="text/javascript",
    )
    added = client.call(
        "scripts.add_version", name, body=models.AddVersionFilesBody(file=file, note="cards")
    )
    assert added.version == 2
    alias = client.call("scripts.move_alias", name, "prod", body=models.MoveAlias(version=2))
    assert alias.version == 2
    assert client.call("scripts.show_script", name).id == created.parsed.id
    assert name in [each.name for each in client.call("scripts.list_scripts").items]
    assert [each.version for each in client.call("scripts.list_versions", name).items] == [2, 1]

    # By envelope, with the answer in one call; version 1 counts.
    envelope = models.Envelope(script=f"{name}@1", data=[1, 2, 3], seed=7)
    ended = client.call("executions.submit_envelope", body=envelope, prefer="wait=30")
    assert isinstance(ended, models.Execution)
    assert (ended.status, ended.result) == (models.Status.SUCCEEDED, 3)
    assert ended.receipt.seed == 7
    # With the data as the body: accepted, and waited for by its id.
    payload = json.loads((CARDS / "payload.json").read_bytes())
    queued = client.call("executions.submit_raw", f"{name}@prod", body=payload, label=["of:cards"])
    assert isinstance(queued, models.Queued)
    execution = str(queued.id)
    shown = client.call("executions.show_execution", execution, wait=30.0)
    assert shown.status == models.Status.SUCCEEDED
    expected = json.loads((CARDS / "expected.json").read_bytes())
    assert client.call("executions.show_result", execution) == expected
    assert client.call("executions.show_logs", execution).lines == []
    listed = client.call("executions.list_executions", label=["of:cards"], script=name)
    assert execution in [str(each.id) for each in listed.items]
    assert client.detailed("executions.head_show_result", execution).headers["ETag"]
    assert client.call("health.ready").ready


def test_its_errors_are_problems(client: Generated) -> None:
    name = f"refused-{uuid4().hex[:8]}"
    models = client.models

    broken = client.call(
        "scripts.create_script", body=models.CreateScript(name=name, source="function process( {")
    )
    missing = client.call("executions.show_execution", "01900000-0000-7000-8000-000000000000")
    unknown = client.call("executions.submit_raw", "nobody", body=1)
    throwing = "function process(data) { if (!data) throw Error('no'); return data }"
    created = client.call(
        "scripts.create_script", body=models.CreateScript(name=name, source=throwing)
    )
    threw = client.call(
        "executions.submit_envelope",
        body=models.Envelope(script=name, data=None),
        prefer="wait=30",
    )

    assert [each.status for each in (broken, missing, unknown)] == [422, 404, 404]
    assert all(isinstance(each, models.ProblemDocument) for each in (broken, missing, unknown))
    assert broken.errors[0].additional_properties["line"] == 1
    assert isinstance(created, models.CreatedScript), created
    assert (threw.status, threw.error.kind) == (models.Status.FAILED, models.ErrorKind.SCRIPT_ERROR)
    assert client.call("executions.show_result", str(threw.id)).status == 404


def test_what_is_no_json_is_there_for_who_takes_it(keyed: Keyed, package: Path) -> None:
    assert package.is_dir()
    name = f"source-{uuid4().hex[:8]}"
    with made_client(keyed, {}) as client:
        models = client.models
        client.call("scripts.create_script", body=models.CreateScript(name=name, source=SOURCE))
        envelope = models.Envelope(script=name, data=[])
        ran = client.call("executions.submit_envelope", body=envelope, prefer="wait=30")

        source = client.detailed("scripts.show_source", name, "1")
        events = client.detailed("executions.show_events", str(ran.id))
        metrics = client.detailed("health.show_metrics")

        assert source.content == SOURCE.encode()
        assert client.call("executions.show_input", str(ran.id)).payload.read() == b"[]"
        assert b"event: status" in events.content
        assert b"# HELP" in metrics.content
    with made_client(keyed, {"Accept": "application/json"}) as client:
        # It asked for JSON, and a script is none.
        assert client.call("scripts.show_source", name, "1").status == 406
