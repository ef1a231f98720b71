"""A tenant that has one of everything that a path can name."""

from uuid import UUID, uuid4

import pytest

from app.tenants.model import DEFAULT_TENANT
from tests.dead_letters.letters import INSERT_LETTER
from tests.exports.stored_exports import INSERT_EXPORT, put_blob
from tests.support.requests_with_bodies import FOLD
from tests.support.system import until
from tests.support.system_with_keys import SystemWithKeys

SCHEMA = {"schema": {"type": "object", "properties": {"id": {"type": "string"}}}}
SOURCE = "function process(data) { console.log(data); return data }"


@pytest.fixture(scope="session")
def filled(keyed: SystemWithKeys) -> dict[str, str]:
    """Values of the path parameters of the OpenAPI document."""
    made = keyed.post("/scripts", json={"name": "headed", "source": SOURCE})
    assert made.status_code == 201, made.text
    assert keyed.request("PUT", "/scripts/headed/aliases/prod", json={"version": 1}).is_success
    assert keyed.request("PUT", "/schemas/headed", json=SCHEMA).is_success
    assert keyed.request("PUT", "/schemas/headed/aliases/prod", json={"version": 1}).is_success
    submitted = keyed.post("/scripts/headed/executions", content=b'"head"')
    execution = submitted.json()["id"]
    assert keyed.get(f"/executions/{execution}", params={"wait": 30}).json()["finished_at"]
    compared = keyed.post("/scripts/headed/comparisons", json={"from": 1, "to": "prod"}).json()
    made_of = {"comparison": compared["id"], "batch": compared["batch"]}
    key = keyed.get("/keys").json()["items"][0]["id"]
    assert keyed.request("PUT", "/datasets/headed", json={"key": "/pk"}).is_success
    file = keyed.request("PUT", "/datasets/headed/files/a", content=b'{"pk":"a"}')
    assert file.is_success, file.text
    pipe = {"from": {"http": {}}, "to": {"dataset": {"dataset": "headed"}}}
    assert keyed.request("PUT", "/pipes/headed", json=pipe).is_success
    upload = keyed.post("/datasets/headed/uploads", json={}).json()["id"]
    folded = keyed.post("/scripts", json={"name": "headed-fold", "source": FOLD})
    assert folded.status_code == 201, folded.text
    run = keyed.post("/runs", json={"script": "headed-fold", "dataset": "headed"}).json()["id"]
    assert keyed.get(f"/runs/{run}", params={"wait": 30}).json()["status"] == "succeeded"
    letter = str(uuid4())
    keyed.execute(INSERT_LETTER, UUID(letter), "default")
    failed = keyed.post("/scripts/headed/executions", content=b"nothing").json()["id"]
    assert keyed.get(f"/executions/{failed}", params={"wait": 30}).json()["status"] == "failed"
    wanted = {"filter": {"execution": {"script": "headed"}}}
    redrive = keyed.post("/redrives", json=wanted).json()["id"]
    for _ in until("the re-drive has ended"):
        if keyed.get(f"/redrives/{redrive}").json()["finished_at"]:
            break
    made_of["redrive"] = redrive
    export = str(uuid4())
    keyed.execute(INSERT_EXPORT, UUID(export), "default")
    put_blob(keyed.system.folder, f"{DEFAULT_TENANT}/exports/{export}", b"PAR1")
    data = {"run": run, "export": export, "letter": letter, "pipe": "headed", "dataset": "headed"}
    data |= {"path": "a", "upload": upload}
    named = {
        "script": "headed",
        "schema": "headed",
        "number": "1",
        "alias": "prod",
        "name": "default",
    }
    return named | data | made_of | {"execution": execution, "key": key}
