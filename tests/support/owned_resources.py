"""Resources of one tenant that another one asks for."""

from typing import Final
from uuid import UUID, uuid4

import httpx
from msgspec import Struct

from tests.dead_letters.letters import INSERT_LETTER
from tests.exports.stored_exports import INSERT_EXPORT
from tests.redrives.http_redrives import INSERT_REDRIVE
from tests.support.requests_with_bodies import FOLD
from tests.support.system_with_keys import CreatedTestKey, SystemWithKeys

NOWHERE: Final = UUID("01900000-0000-7000-8000-000000000000")
SOURCE: Final = "function process(data) { return data }"


class Owned(Struct, frozen=True):
    """Resources of the owner, and a key of another tenant."""

    script: str
    schema: str
    execution: str
    upload: str
    comparison: str
    batch: str
    run: str
    export: str
    letter: str
    owner: CreatedTestKey
    stranger: CreatedTestKey

    def told(self, answer: httpx.Response) -> str:
        """Return a response without the requested ids."""
        text = answer.text
        made = (self.script, self.schema, self.execution, self.upload)
        own = (*made, self.comparison, self.batch, self.run, self.export, self.letter)
        for each in (*own, str(NOWHERE), "hidden", "nowhere"):
            text = text.replace(each, "ID")
        return text


def own_everything(keyed: SystemWithKeys) -> Owned:
    """Create a resource of each kind as one tenant, and a key of another."""
    keyed.tenant("isolation-owner")
    keyed.tenant("isolation-stranger")
    owner, stranger = keyed.key("isolation-owner"), keyed.key("isolation-stranger")
    made = keyed.post("/scripts", owner.key, json={"name": "hidden", "source": SOURCE})
    assert made.status_code == 201, made.text
    script = made.json()["id"]
    alias = f"/scripts/{script}/aliases/prod"
    assert keyed.request("PUT", alias, owner.key, json={"version": 1}).status_code == 200
    put = keyed.request("PUT", "/schemas/hidden", owner.key, json={"schema": {}})
    schema = put.json()["id"]
    alias = f"/schemas/{schema}/aliases/prod"
    assert keyed.request("PUT", alias, owner.key, json={"version": 1}).status_code == 200
    submitted = keyed.post(f"/scripts/{script}/executions", owner.key, content=b'"secret"')
    assert submitted.status_code == 202
    dataset = {"json": {"key": "/pk"}}
    assert keyed.request("PUT", "/datasets/hidden", owner.key, **dataset).status_code == 201
    file = {"content": b'{"pk":"a"}'}
    assert keyed.request("PUT", "/datasets/hidden/files/a", owner.key, **file).is_success
    pipe = {"json": {"from": {"http": {}}, "to": {"dataset": {"dataset": "hidden"}}}}
    assert keyed.request("PUT", "/pipes/hidden", owner.key, **pipe).is_success
    begun = keyed.post("/datasets/hidden/uploads", owner.key, json={})
    upload = begun.json()["id"]
    execution = submitted.json()["id"]
    assert keyed.get(f"/executions/{execution}?wait=60", owner.key).json()["receipt"]
    compared = keyed.post(
        f"/scripts/{script}/comparisons", owner.key, json={"from": 1, "to": "prod"}
    )
    assert compared.status_code == 202, compared.text
    comparison, batch = compared.json()["id"], compared.json()["batch"]
    folded = keyed.post("/scripts", owner.key, json={"name": "hidden-fold", "source": FOLD})
    assert folded.status_code == 201, folded.text
    wanted = {"script": "hidden-fold", "dataset": "hidden"}
    run = keyed.post("/runs", owner.key, json=wanted).json()["id"]
    assert keyed.get(f"/runs/{run}?wait=60", owner.key).json()["status"] == "succeeded"
    letter = str(uuid4())
    # A re-drive with the same id.
    for statement in (INSERT_LETTER, INSERT_REDRIVE):
        keyed.execute(statement, UUID(letter), "isolation-owner")
    export = str(uuid4())
    keyed.execute(INSERT_EXPORT, UUID(export), "isolation-owner")
    return Owned(
        script, schema, execution, upload, comparison, batch, run, export, letter, owner, stranger
    )
