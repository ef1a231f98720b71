"""Logs contain no keys, secrets or payloads."""

import json
import secrets
from typing import Final

import httpx
import pytest
from sqlalchemy import make_url

from app.auth.model import Scope
from app.keys.model import new_key
from tests.support.servers import execute
from tests.support.system import System, until
from tests.support.system_with_keys import SystemWithKeys

# Each is used in one place only, which identifies a leak.
SOURCE, DATA, THROWN, LOGGED, RESULT, LABEL, NOTE = (
    f"{name}{secrets.token_hex(8)}"
    for name in ("source", "data", "thrown", "logged", "result", "label", "note")
)
PASSWORD: Final = f"password{secrets.token_hex(8)}"
SCRIPT: Final = f"""\
// {SOURCE}
function process(data) {{
  console.log("{LOGGED}", data)
  if (data.fails) throw new Error("{THROWN}" + JSON.stringify(data))
  return {{ "{RESULT}": data }}
}}
"""


@pytest.fixture
def keyed(stopped_system: System) -> SystemWithKeys:
    """A system at log level debug, whose database URL contains a password."""
    url = make_url(stopped_system.environ["DATABASE_URL"]).set(password=PASSWORD)
    stopped_system.environ["DATABASE_URL"] = url.render_as_string(hide_password=False)
    stopped_system.environ["CRIVO_LOG_LEVEL"] = "debug"
    return SystemWithKeys(stopped_system).start()


def test_logs_hold_no_key_no_secret_and_no_payload(keyed: SystemWithKeys) -> None:
    tenant = keyed.tenant("quiet")
    key, revoked = keyed.key(tenant), keyed.key(tenant, [Scope.READ])
    unknown = new_key()
    wrong_secret = f"{key.key[:37]}{'x' * 43}"
    nonsense = f"nonsense{secrets.token_hex(8)}"

    def post(path: str, **what: object) -> httpx.Response:
        return keyed.post(path, key.key, **what)

    body = {"name": "quiet", "source": SCRIPT, "note": NOTE}
    assert post("/scripts", json=body).status_code == 201
    post("/scripts", json=body)
    post("/scripts", json={"name": "wrong", "source": f"function ({SOURCE}"})
    for data in ({"value": DATA}, {"value": DATA, "fails": True}):
        address = post(
            "/executions", json={"script": "quiet", "data": data, "labels": {"label": LABEL}}
        ).headers["Location"]
        for _ in until("it has finished"):
            if keyed.get(address, key.key).json()["finished_at"] is not None:
                break
    post("/scripts/quiet/executions", content=f'{{"{DATA}'.encode())
    post("/executions", content=f'{{"{DATA}'.encode(), headers={"Content-Type": "application/json"})
    post("/scripts/quiet/executions", content=DATA, params={"seed": DATA})
    for bad in (unknown, wrong_secret, nonsense):
        assert keyed.get("/scripts", bad).status_code == 401
    keyed.request("DELETE", f"/keys/{revoked.id}")
    keyed.becomes(401, revoked.key)
    # A row that PostgreSQL rejects, and quotes in its error.
    database_url = keyed.system.environ["DATABASE_URL"]
    execute(database_url, "ALTER TABLE executions ADD CHECK (false) NOT VALID")
    labelled = {"label": f"label:{LABEL}"}
    answer = post("/scripts/quiet/executions", content=DATA, params=labelled)
    assert answer.status_code == 500
    execute(database_url, "DROP TABLE payloads")
    assert post("/scripts/quiet/executions", content=DATA).status_code == 500

    logs = "".join(keyed.system.logs_of_process(each) for each in ("app.main", "app.worker"))

    assert logs.count('"request.failed"') == 2
    assert all(json.loads(line) for line in logs.splitlines())
    private = {
        "the admin's key": keyed.admin_key[37:],
        "a key": key.key[37:],
        "a revoked key": revoked.key[37:],
        "an unknown key": unknown[37:],
        "a wrong secret": "x" * 43,
        "no key at all": nonsense,
        "the database's password": PASSWORD,
        "a source": SOURCE,
        "data": DATA,
        "an error": THROWN,
        "the console": LOGGED,
        "a result": RESULT,
        "a label": LABEL,
        "a note": NOTE,
    }
    assert [name for name, text in private.items() if text in logs] == []
